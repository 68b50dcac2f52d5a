import re
from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError

from questions.models import User
from questions.passwords import NotOnlySiteWords
from tests.factories import NOW, UserFactory, finish, mail_is_sent, make_attempt
from tests.test_access import without_token

pytestmark = [pytest.mark.django_db, pytest.mark.time_machine(NOW, tick=False)]

PASSWORD = "lantern-7-harbour"  # as UserFactory sets it
NEW = "orchard-9-winter"


def text_of(response) -> str:
    return " ".join(response.content.decode().split())


def signed_in_as(client) -> str | None:
    return client.session.get("_auth_user_id")


def account(name: str = "ada", **changes: str) -> dict[str, str]:
    return {"username": name, "password1": NEW, "password2": NEW, **changes}


# --- Guests -------------------------------------------------------------------------------------


def test_opening_the_address_of_guests_makes_none(client):
    assert client.get("/guest/").status_code == 405
    assert User.objects.count() == 0


def test_a_visitor_becomes_a_guest_with_one_click(client):
    response = client.post("/guest/")

    guest = User.objects.get()
    assert (response.status_code, response.url) == (302, "/exams/start/")
    assert signed_in_as(client) == str(guest.pk)
    assert (guest.is_guest, guest.is_staff, guest.has_usable_password(), str(guest)) == (True, False, False, "Guest")


def test_somebody_signed_in_stays_who_they_are(as_taker, taker):
    as_taker.post("/guest/")

    assert signed_in_as(as_taker) == str(taker.pk)
    assert User.objects.count() == 1


# --- Sign up ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"username": "taken"}, "A user with that username already exists."),
        ({"username": "no spaces"}, "Enter a valid username."),
        ({"password2": "something-else-1"}, "The two password fields didn\N{RIGHT SINGLE QUOTATION MARK}t match."),
        ({"password1": "12345678", "password2": "12345678"}, "This password is too common."),
        (
            {"password1": "Google-Cloud_2026!", "password2": "Google-Cloud_2026!"},
            "This password is made of words that belong to this site.",
        ),
        ({"email": "no address"}, "Enter a valid email address."),
    ],
)
@pytest.mark.parametrize("as_guest", [False, True])
def test_a_refused_sign_up_says_why_and_changes_nobody(client, changes, told, as_guest):
    UserFactory(username="taken")
    if as_guest:
        client.post("/guest/")
    before = (signed_in_as(client), list(User.objects.values().order_by("pk")))

    response = client.post("/sign-up/", account(**changes))

    assert response.status_code == 422
    assert told in text_of(response)
    assert (signed_in_as(client), list(User.objects.values().order_by("pk"))) == before


@pytest.mark.parametrize(
    "password", [NEW, "exam-wal7nut", "kfqzt-29-bxmw", "82719-!!-55301", "cloud%7$9!k2&Qz", "exam-4.7!x2&93"]
)
def test_a_password_with_enough_besides_the_words_of_this_site_is_taken(password):
    NotOnlySiteWords().validate(password)


@pytest.mark.parametrize(
    "password",
    [
        "examexam",
        "PMLE-pmle-99",
        "machine learning",
        "certified-to-2026",
        "cloud - - - - - 7",
        "exam 1-2-3-4-5!",
        "\u00b9exam\u00b2cloud",
    ],
)
def test_a_password_of_words_of_this_site_is_refused(password):
    with pytest.raises(ValidationError, match="words that belong to this site"):
        NotOnlySiteWords().validate(password)


def test_a_refused_sign_up_still_shows_the_guest_as_a_guest(client):
    client.post("/guest/")

    page = text_of(client.post("/sign-up/", account(password2="something-else-1")))

    assert "The exams you sat in this session stay with your new account." in page
    assert 'value="ada"' in page


def test_a_visitor_signs_up_and_is_signed_in(client):
    response = client.post("/sign-up/", account(email="ada@example.org"), follow=True)

    user = User.objects.get()
    assert response.redirect_chain == [("/", 302)]
    assert "Your account is ready." in text_of(response)
    assert (user.username, user.email, user.is_guest, user.check_password(NEW)) == (
        "ada",
        "ada@example.org",
        False,
        True,
    )
    assert signed_in_as(client) == str(user.pk)


def test_extra_fields_of_a_sign_up_give_no_rights(client):
    client.post("/sign-up/", account(is_staff="on", is_superuser="on", time_factor="400", is_guest="on"))

    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.time_factor, user.is_guest) == (False, False, 100, False)


def test_a_guest_who_signs_up_keeps_the_results_and_the_running_exam(client, bank):
    client.post("/guest/")
    guest = User.objects.get()
    done = finish(make_attempt(guest, NOW - timedelta(days=1)), right=4)
    running = make_attempt(guest)

    response = client.post("/sign-up/", account(), follow=True)

    user = User.objects.get()
    assert (user.pk, user.username, user.is_guest) == (guest.pk, "ada", False)
    assert list(user.attempts.all()) == [running, done]
    assert "Your account is ready. Your results are kept in it." in text_of(response)
    assert "4 of 6" in text_of(response)
    assert client.get(f"/exams/{running.pk}/1/").status_code == 200


def test_the_name_that_a_guest_was_given_is_not_suggested(client):
    client.post("/guest/")

    assert User.objects.get().username not in text_of(client.get("/sign-up/"))


@pytest.mark.parametrize("method", ["get", "post"])
def test_somebody_with_an_account_does_not_sign_up_again(as_taker, taker, method):
    response = getattr(as_taker, method)("/sign-up/", account())

    assert (response.status_code, response.url) == (302, "/")
    assert list(User.objects.values_list("username", flat=True)) == [taker.username]


# --- Sign in and out ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong-password"), ("nobody", PASSWORD)])
def test_a_wrong_name_and_a_wrong_password_are_told_alike(client, name, password):
    # reliability case 34
    UserFactory(username="ada")

    response = client.post("/sign-in/", {"username": name, "password": password})

    assert response.status_code == 422
    assert "This name and password do not match. Check both; capitals matter in the password." in text_of(response)
    assert signed_in_as(client) is None


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [("", "/"), ("/progress/", "/progress/"), ("https://elsewhere.example/", "/"), ("//elsewhere.example/", "/")],
)
def test_signing_in_leads_to_the_page_that_was_asked_for_on_this_site_only(client, wanted, reached):
    # reliability case 37
    user = UserFactory(username="ada")

    response = client.post("/sign-in/", {"username": "ada", "password": PASSWORD, "next": wanted})

    assert (response.status_code, response.url) == (302, reached)
    assert signed_in_as(client) == str(user.pk)


def test_signing_out_takes_a_form_and_ends_the_session(as_taker):
    assert as_taker.get("/sign-out/").status_code == 405
    assert signed_in_as(as_taker) is not None

    response = as_taker.post("/sign-out/")

    assert (response.status_code, response.url) == (302, "/")
    assert signed_in_as(as_taker) is None


def test_a_guest_with_exams_is_asked_before_they_are_left_behind(client):
    client.post("/guest/")
    make_attempt(User.objects.get())

    asked = client.post("/sign-out/")

    assert (asked.status_code, signed_in_as(client)) == (200, str(User.objects.get().pk))
    assert "Sign up to keep them." in asked.content.decode()
    assert client.post("/sign-out/", {"anyway": "1"}).url == "/"
    assert signed_in_as(client) is None


@pytest.mark.parametrize("action", ["/sign-out/", "/exams/start/", "/exams/1/1/answer/"])
def test_after_a_form_sent_signed_out_the_sign_in_leads_to_a_page_that_opens(client, action):
    UserFactory(username="ada")
    sign_in = client.post(action).url
    wanted = re.search(r'name="next" value="([^"]*)"', client.get(sign_in).content.decode())[1]

    response = client.post(sign_in, {"username": "ada", "password": PASSWORD, "next": wanted}, follow=True)

    assert (response.status_code, response.request["PATH_INFO"]) == (200, "/")


# --- Passwords ----------------------------------------------------------------------------------


def test_a_password_is_changed_only_by_who_knows_the_old_one(as_taker, taker):
    refused = as_taker.post(
        "/password/", {"old_password": "wrong-password", "new_password1": NEW, "new_password2": NEW}
    )
    taker.refresh_from_db()
    assert "Your old password was entered incorrectly." in text_of(refused)
    assert taker.check_password(PASSWORD)

    done = as_taker.post(
        "/password/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}, follow=True
    )
    taker.refresh_from_db()
    assert done.redirect_chain == [("/password/done/", 302)]
    assert taker.check_password(NEW)
    assert signed_in_as(as_taker) == str(taker.pk)


def test_an_unknown_address_gets_the_same_answer_and_no_mail(client, mailoutbox):
    # reliability case 34
    UserFactory(email="ada@example.org")

    known = client.post("/password/reset/", {"email": "ada@example.org"}, follow=True)
    unknown = client.post("/password/reset/", {"email": "nobody@example.org"}, follow=True)

    assert known.redirect_chain == unknown.redirect_chain == [("/password/reset/sent/", 302)]
    assert without_token(known.content) == without_token(unknown.content)
    mail_is_sent()
    assert [mail.to for mail in mailoutbox] == [["ada@example.org"]]


def test_the_link_in_the_mail_sets_a_password_once_within_the_hour(client, mailoutbox, time_machine):
    # reliability case 35
    user = UserFactory(username="ada", email="ada@example.org")
    client.post("/password/reset/", {"email": "ada@example.org"})
    mail_is_sent()
    link = re.search(r"http://localhost:80(/password/reset/\S+/\S+/)", mailoutbox[0].body)[1]

    form = client.get(link, follow=True)
    client.post(form.redirect_chain[-1][0], {"new_password1": NEW, "new_password2": NEW})
    user.refresh_from_db()
    assert user.check_password(NEW)
    assert "This link was used before or is over an hour old." in text_of(client.get(link))

    client.post("/password/reset/", {"email": "ada@example.org"})
    mail_is_sent()
    link = re.search(r"http://localhost:80(/password/reset/\S+/\S+/)", mailoutbox[1].body)[1]
    time_machine.move_to(NOW + timedelta(hours=1, seconds=1), tick=False)
    assert "This link was used before or is over an hour old." in text_of(client.get(link))


def test_a_new_password_or_an_address_that_is_refused_changes_nothing_and_says_why(client, mailoutbox):
    user = UserFactory(username="ada", email="ada@example.org")
    no_address = client.post("/password/reset/", {"email": "ada at example"})
    client.post("/password/reset/", {"email": "ada@example.org"})
    mail_is_sent()
    link = re.search(r"http://localhost:80(/password/reset/\S+/\S+/)", mailoutbox[0].body)[1]
    form = client.get(link, follow=True).redirect_chain[-1][0]

    weak = client.post(form, {"new_password1": "12345678", "new_password2": "12345678"})
    taken_for_a_form = client.put(form, {"new_password1": NEW, "new_password2": NEW})

    assert (no_address.status_code, weak.status_code, taken_for_a_form.status_code) == (422, 422, 405)
    assert "Enter a valid email address." in text_of(no_address)
    assert "This password is too common." in text_of(weak)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


# --- Settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"target": "101"}, {"target": "0"}, {"exam_date": "soon"}, {"time_zone": "Mars/Olympus"}, {"email": "@"}]
)
def test_settings_that_make_no_sense_are_refused_and_nothing_is_stored(as_taker, taker, wrong):
    before = User.objects.values().get()

    response = as_taker.post("/settings/", {"target": "80", **wrong})

    assert response.status_code == 422
    assert 'aria-invalid="true"' in text_of(response)
    assert User.objects.values().get() == before


def test_settings_store_what_a_taker_may_choose_and_nothing_else(as_taker, taker):
    chosen = {"email": "a@example.org", "target": "80", "exam_date": "2027-01-15", "time_zone": "Asia/Tokyo"}
    forbidden = {"is_staff": "on", "is_superuser": "on", "time_factor": "400", "username": "root", "is_guest": "on"}
    before = User.objects.values().get()

    response = as_taker.post("/settings/", chosen | forbidden | {"password": PASSWORD}, follow=True)

    assert response.redirect_chain == [("/settings/", 302)]
    assert "Your settings are saved." in text_of(response)
    typed = {"target": 80, "exam_date": date(2027, 1, 15), "single_keys": False}  # a box without a tick is not sent
    assert User.objects.values().get() == before | chosen | typed


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("", "Enter your password to change the mail address."),
        ("wrong-password", "This is not your password. Nothing was changed."),
    ],
)
@pytest.mark.parametrize("email", ["eve@example.org", ""])
def test_the_mail_address_changes_only_with_the_password(client, password, told, email):
    user = UserFactory(email="ada@example.org")
    client.force_login(user)
    before = User.objects.values().get()

    refused = client.post("/settings/", {"email": email, "password": password, "target": "55", "single_keys": "on"})
    kept = User.objects.values().get()
    done = client.post("/settings/", {"email": email, "password": PASSWORD, "target": "55", "single_keys": "on"})

    assert (refused.status_code, kept) == (422, before)
    assert told in text_of(refused)
    assert (done.status_code, User.objects.values().get()) == (302, before | {"email": email, "target": 55})


def test_everything_else_in_the_settings_takes_no_password(client):
    user = UserFactory(email="ada@example.org")
    client.force_login(user)

    assert client.post("/settings/", {"email": "ada@example.org", "target": "55"}).status_code == 302
    assert User.objects.values("email", "target").get() == {"email": "ada@example.org", "target": 55}


def test_a_guest_has_neither_password_nor_mail_address_to_set(client):
    client.post("/guest/")
    page = text_of(client.get("/settings/"))

    response = client.post("/settings/", {"email": "eve@example.org", "password": "", "target": "55"})

    assert ('name="email"' in page, 'name="password"' in page) == (False, False)
    assert response.status_code == 302
    assert User.objects.values("email", "target").get() == {"email": "", "target": 55}


def test_the_target_holds_for_the_next_exam(client, bank):
    user = UserFactory(target=90)
    before = make_attempt(user)
    client.force_login(user)
    client.post("/settings/", {"target": "55"})
    finish(before, right=1)

    client.post("/exams/start/")

    assert list(user.attempts.order_by("pk").values_list("target", flat=True)) == [90, 55]


def test_times_are_shown_in_the_chosen_zone(client, bank):
    user = UserFactory(time_zone="Asia/Tokyo")
    make_attempt(user)
    client.force_login(user)

    assert "Started 21 November, 21:00, ends 22:00 JST." in text_of(client.get("/"))
