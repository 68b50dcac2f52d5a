"""A code beside the password: setting it up, signing in with it, staff in production, and the way back."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from questions import totp
from questions.models import SecondFactor, User
from questions.models.sign_in import digest_of_code
from tests.factories import NOW, UserFactory, make_instructor
from tests.test_accounts import NEW, PASSWORD, RECOVERY, key_of, session_opens, sign_in, signed_in_as, text_of
from tests.test_journey import axe_finds_nothing

pytestmark = [pytest.mark.django_db, pytest.mark.time_machine(NOW, tick=False)]


@pytest.fixture
def ada() -> User:
    return UserFactory(username="ada", email="ada@example.org")


def test_codes_are_those_of_the_standard():
    # RFC 6238, appendix B, SHA-1: the last six of the eight digits given there
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

    found = {
        second: totp.code(secret, second // 30) for second in (59, 1111111109, 1234567890, 2000000000, 20000000000)
    }

    assert found == {
        59: "287082",
        1111111109: "081804",
        1234567890: "005924",
        2000000000: "279037",
        20000000000: "353130",
    }


@pytest.mark.parametrize(("steps", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_phone_may_be_half_a_minute_off(steps, fits):
    secret = totp.new_secret()
    step = totp.step_at(NOW) + steps

    assert totp.matching_step(secret, totp.code(secret, step), NOW) == (step if fits else None)


def set_up(client: Client, **changes: str) -> tuple[str, Any]:
    """Open the page, put its secret into an app, send the code: the secret and the reply."""
    page = client.get("/settings/second-factor/").content.decode()
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", page)[1]
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    data = {"token": token, "code": totp.code(secret, totp.step_at(NOW)), "password": PASSWORD, **changes}
    return secret, client.post("/settings/second-factor/", data)


def codes_on(response: Any) -> list[str]:
    return re.findall(r"<code>((?:[0-9a-f]{4}-){3}[0-9a-f]{4})</code>", response.content.decode())


@pytest.fixture
def factor(ada) -> SecondFactor:
    return SecondFactor.objects.create(
        user=ada, secret=totp.new_secret(), last_step=0, recovery=[digest_of_code(RECOVERY)]
    )


def code_now(factor: SecondFactor, steps: int = 0) -> str:
    return totp.code(factor.secret, totp.step_at(NOW) + steps)


def test_a_second_factor_is_set_up_with_a_code_and_the_password(client, ada):
    sign_in(client)
    before = key_of(client)
    address = re.search(r'href="(otpauth:[^"]+)"', client.get("/settings/second-factor/").content.decode())[1]

    secret, response = set_up(client)

    factor = SecondFactor.objects.get()
    codes = codes_on(response)
    assert re.fullmatch(
        r"otpauth://totp/ExamSim:ada\?secret=[A-Z2-7]{32}&amp;issuer=ExamSim&amp;digits=6&amp;period=30", address
    )
    assert (factor.user, factor.secret, factor.last_step) == (ada, secret, totp.step_at(NOW))
    assert (len(set(codes)), factor.recovery) == (10, [digest_of_code(code) for code in codes])
    assert not set(codes) & set(codes_on(client.get("/settings/second-factor/")))
    assert (session_opens(before), session_opens(key_of(client))) == (False, True)
    assert "10 recovery codes left" in text_of(client.get("/settings/second-factor/"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"code": "000000"}, "This code does not fit."),
        ({"code": ""}, "This field is required."),
        ({"password": "wrong-password"}, "This is not your password."),
    ],
)
def test_a_mistake_at_the_set_up_stores_nothing_and_keeps_the_secret(client, ada, wrong, told):
    sign_in(client)

    secret, response = set_up(client, **wrong)

    assert response.status_code == 422
    assert told in text_of(response)
    assert secret in text_of(response)
    assert SecondFactor.objects.count() == 0


def test_a_secret_made_for_somebody_else_or_long_ago_is_refused(client, ada, time_machine):
    other = Client()
    other.force_login(UserFactory())
    token = re.search(r'name="token" value="([^"]+)"', other.get("/settings/second-factor/").content.decode())[1]
    sign_in(client)

    _, of_another = set_up(client, token=token)
    page = client.get("/settings/second-factor/").content.decode()
    old = re.search(r'name="token" value="([^"]+)"', page)[1]
    time_machine.move_to(NOW + timedelta(hours=1, seconds=1), tick=False)
    _, too_old = set_up(client, token=old)

    assert [r.status_code for r in (of_another, too_old)] == [302, 302]
    assert SecondFactor.objects.count() == 0


def test_the_password_alone_signs_nobody_in_who_has_a_second_factor(client, factor):
    response = sign_in(client)

    assert (response.status_code, response.url, signed_in_as(client)) == (302, "/sign-in/code/", None)
    assert client.get("/settings/").status_code == 302


def test_the_code_completes_the_sign_in_under_a_new_key_and_leads_where_it_was_wanted(client, factor):
    # reliability case 35
    sign_in(client, next="/progress/")
    before = key_of(client)

    response = client.post("/sign-in/code/", {"code": code_now(factor)})

    assert (response.status_code, response.url, signed_in_as(client)) == (302, "/progress/", str(factor.user.pk))
    assert key_of(client) != before
    assert not session_opens(before)


def test_a_code_works_once(client, factor):
    sign_in(client)
    client.post("/sign-in/code/", {"code": code_now(factor)})
    thief = Client()
    sign_in(thief)

    again, earlier = (thief.post("/sign-in/code/", {"code": code_now(factor, steps)}) for steps in (0, -1))

    assert [again.status_code, earlier.status_code, signed_in_as(thief)] == [422, 422, None]
    assert "was used before" in text_of(again)


@pytest.mark.parametrize("typed", [RECOVERY, RECOVERY.replace("-", ""), f" {RECOVERY} ".replace("-", " ")])
def test_a_recovery_code_stands_in_for_the_phone_once(client, factor, typed):
    sign_in(client)
    assert client.post("/sign-in/code/", {"code": typed}).status_code == 302
    assert signed_in_as(client) == str(factor.user.pk)
    factor.refresh_from_db()
    assert factor.recovery == []

    sign_in(other := Client())
    assert other.post("/sign-in/code/", {"code": typed}).status_code == 422


@pytest.mark.parametrize(
    "code", ["", "000000", "\N{ARABIC-INDIC DIGIT ONE}" * 6, "a" * 41, "\x00", "\N{GRINNING FACE}"]
)
def test_what_is_no_code_is_refused(client, factor, code):
    sign_in(client)

    assert client.post("/sign-in/code/", {"code": code}).status_code == (400 if code == "\x00" else 422)
    assert signed_in_as(client) is None


def test_guessing_codes_is_held_up_from_every_address(client, factor):
    sign_in(client)
    found = [client.post("/sign-in/code/", {"code": "000000"}).status_code for _ in range(5)]
    elsewhere = Client()
    sign_in(elsewhere, address="203.0.113.9")

    refused = elsewhere.post("/sign-in/code/", {"code": code_now(factor)}, REMOTE_ADDR="203.0.113.9")

    assert found == [422] * 5
    assert (refused.status_code, refused.headers["Retry-After"], signed_in_as(elsewhere)) == (429, "30", None)


def test_the_page_for_the_code_needs_a_password_first_and_not_long_ago(client, factor, time_machine):
    assert client.post("/sign-in/code/", {"code": code_now(factor)}).url == "/sign-in/"
    sign_in(client)
    time_machine.move_to(NOW + timedelta(minutes=10, seconds=1), tick=False)

    response = client.post("/sign-in/code/", {"code": RECOVERY})

    assert (response.url, signed_in_as(client)) == ("/sign-in/", None)


@pytest.mark.parametrize("change", ["password", "closed"])
def test_between_password_and_code_a_changed_account_closes_the_way(client, factor, change):
    sign_in(client)
    if change == "password":
        factor.user.set_password(NEW)
        factor.user.save()
    else:
        User.objects.update(is_active=False)

    response = client.post("/sign-in/code/", {"code": RECOVERY})

    assert (response.url, signed_in_as(client)) == ("/sign-in/", None)


def test_it_is_turned_off_with_a_code_and_not_without(client, factor):
    sign_in(client)
    client.post("/sign-in/code/", {"code": code_now(factor)})

    refused = client.post("/settings/second-factor/off/", {"code": "000000"})
    assert (refused.status_code, SecondFactor.objects.count()) == (422, 1)

    done = client.post("/settings/second-factor/off/", {"code": RECOVERY}, follow=True)
    assert "Your second factor is off." in text_of(done)
    assert SecondFactor.objects.count() == 0
    assert sign_in(Client()).url == "/"


def test_a_second_secret_does_not_replace_the_first(client, factor):
    sign_in(client)
    client.post("/sign-in/code/", {"code": code_now(factor)})

    response = client.post("/settings/second-factor/", {"token": "x", "code": "000000", "password": PASSWORD})

    assert response.status_code == 409
    assert SecondFactor.objects.get().secret == factor.secret


# --- Staff --------------------------------------------------------------------------------------


@pytest.fixture
def production(settings) -> None:
    settings.STAFF_NEED_SECOND_FACTOR = True


ADMIN = ["/admin/", "/admin/questions/question/", "/admin/questions/question/add/", "/admin/nothing/", "/admin/jsi18n/"]


@pytest.mark.parametrize("path", ADMIN)
@pytest.mark.parametrize("method", ["get", "post"])
def test_in_production_the_admin_is_closed_to_staff_without_a_second_factor(
    as_instructor, production, bank, path, method
):
    response = getattr(as_instructor, method)(path)

    assert (response.status_code, response.url) == (302, "/settings/second-factor/")


def test_in_production_staff_set_it_up_and_are_let_in(client, production, bank):
    make_instructor(username="ines")
    landed = client.post("/sign-in/", {"username": "ines", "password": PASSWORD, "next": "/admin/"}, follow=True)
    assert landed.request["PATH_INFO"] == "/settings/second-factor/"

    _, response = set_up(client)

    assert 'href="/admin/"' in text_of(response)
    assert client.get("/admin/questions/question/").status_code == 200


def test_in_production_the_code_opens_the_admin_and_a_session_without_it_does_not(client, production, factor, bank):
    User.objects.update(is_staff=True, is_superuser=True)
    unproven = Client()
    unproven.force_login(User.objects.get())
    sign_in(client)
    client.post("/sign-in/code/", {"code": code_now(factor)})

    assert [c.get("/admin/").status_code for c in (unproven, client)] == [302, 200]


def test_turning_it_off_closes_the_admin_again(client, production, factor):
    User.objects.update(is_staff=True, is_superuser=True)
    sign_in(client)
    client.post("/sign-in/code/", {"code": code_now(factor)})
    client.post("/settings/second-factor/off/", {"code": RECOVERY})

    assert client.get("/admin/").url == "/settings/second-factor/"


def test_takers_need_none_in_production(as_taker, production, bank):
    assert [as_taker.get(path).status_code for path in ("/", "/settings/", "/progress/")] == [200, 200, 200]


def test_an_operator_lets_somebody_back_in_who_lost_phone_and_codes(client, factor, capsys):
    sign_in(client)
    client.post("/sign-in/code/", {"code": code_now(factor)})

    call_command("reset_second_factor", "ada")

    assert "ada signs in with the password alone now" in capsys.readouterr().out
    assert not session_opens(key_of(client))
    assert sign_in(Client()).url == "/"


@pytest.mark.parametrize(
    ("name", "told"), [("nobody", "There is no account 'nobody'."), ("ada", "ada has no second factor.")]
)
def test_the_operators_way_back_says_what_does_not_fit(ada, name, told):
    with pytest.raises(CommandError, match=re.escape(told)):
        call_command("reset_second_factor", name)


# --- In a browser -------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.time_machine(NOW, tick=True)
def test_an_instructor_sets_up_the_second_factor_and_signs_in_with_it(page, live_server, transactional_db, production):
    make_instructor(username="ines")

    def enter_password() -> None:
        page.goto(f"{live_server.url}/sign-in/?next=/admin/")
        page.get_by_label("Username").fill("ines")
        page.get_by_label("Password").fill(PASSWORD)
        page.locator("main").get_by_role("button", name="Sign in").click()

    enter_password()
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    secret = page.locator("main code").inner_text()
    page.get_by_label("Code").fill(totp.code(secret, totp.step_at(timezone.now())))
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", name="Your second factor is on")).to_be_visible()
    axe_finds_nothing(page)
    recovery = page.locator("main code").first.inner_text()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading", name="Question bank")).to_be_visible()

    page.context.clear_cookies()
    enter_password()
    axe_finds_nothing(page)
    page.get_by_label("Code").fill("000000")
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("This code does not fit")).to_be_visible()
    axe_finds_nothing(page)
    page.get_by_label("Code").fill(recovery)
    page.locator("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Question bank")).to_be_visible()
