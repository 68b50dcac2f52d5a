"""Who may do what behind /admin/."""

import re

import pytest

from questions.models import Attempt, Question, Reference, User
from tests.bank_folder import reference_data
from tests.factories import NOW, ReferenceFactory, UserFactory, finish, make_attempt

QUESTIONS = "/admin/questions/question/"
BANK = ["attempt", "guide", "question", "reference"]


def pages(page: str) -> list[str]:
    """The addresses behind /admin/ that a page leads to."""
    return sorted(set(re.findall(r'href="(/admin/[^"?#]*)', page)))


# --- Takers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["", "questions/", "questions/question/", "questions/question/add/", "jsi18n/"])
def test_a_taker_gets_no_admin_at_all(as_taker, bank, page):
    response = as_taker.get(f"/admin/{page}")

    assert (response.status_code, response.headers["Location"]) == (302, f"/admin/login/?next=/admin/{page}")


def test_a_taker_can_change_nothing_there(as_taker, bank):
    question = Question.objects.first()

    for address in (f"{QUESTIONS}add/", f"{QUESTIONS}{question.pk}/change/", f"{QUESTIONS}{question.pk}/delete/"):
        assert as_taker.post(address, {"post": "yes"}).status_code == 302
    chosen = {"action": "retire", "_selected_action": [question.pk]}
    assert as_taker.post(QUESTIONS, chosen).status_code == 302

    assert set(Question.objects.values_list("status", flat=True)) == {"published"}
    assert Question.objects.count() == 6


# --- Instructors --------------------------------------------------------------------------------


def test_an_instructor_sees_the_bank_and_nothing_else(as_instructor, bank):
    page = as_instructor.get("/admin/")

    assert [model["object_name"].lower() for app in page.context["app_list"] for model in app["models"]] == BANK
    assert {address.split("/")[3] for address in pages(page.text) if address.count("/") > 3} == set(BANK)


@pytest.mark.parametrize(
    "address",
    [
        "questions/user/",
        "questions/user/add/",
        "questions/user/1/change/",
        "questions/user/1/password/",
        "auth/group/",
        "auth/group/1/change/",
        "questions/slot/",
        "questions/saveevent/",
        "questions/option/",
        "sessions/session/",
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_other_models_are_closed_to_an_instructor(as_instructor, address, method):
    User.objects.filter(pk=1).exists() or UserFactory(pk=1)

    assert getattr(as_instructor, method)(f"/admin/{address}").status_code in (403, 404)


def test_an_instructor_reads_attempts_but_cannot_touch_them(as_instructor, bank):
    attempt = finish(make_attempt(), right=4)
    before = (Attempt.objects.values().get(), list(attempt.slots.values()))
    own = f"/admin/questions/attempt/{attempt.pk}"

    page = as_instructor.get(f"{own}/change/")

    assert page.status_code == 200
    assert 'name="_save"' not in page.text
    assert f"{own}/delete/" not in page.text
    for address in ("/admin/questions/attempt/add/", f"{own}/change/", f"{own}/delete/"):
        assert as_instructor.post(address, {"post": "yes", "right": 6}).status_code == 403
    assert as_instructor.get("/admin/questions/attempt/add/").status_code == 403
    as_instructor.post("/admin/questions/attempt/", {"action": "delete_selected", "_selected_action": [attempt.pk]})
    assert (Attempt.objects.values().get(), list(attempt.slots.values())) == before


def test_an_attempt_that_ran_out_is_settled_before_an_instructor_reads_it(as_instructor, bank):
    attempt = make_attempt(now=NOW.replace(year=2020))

    as_instructor.get("/admin/questions/attempt/")

    attempt.refresh_from_db()
    assert attempt.finished_at == attempt.deadline


def test_guides_are_read_only(as_instructor, bank):
    own = f"/admin/questions/guide/{bank.pk}"

    assert "1. Section 1: 2; 2. Section 2: 2; 3. Section 3: 2" in as_instructor.get(f"{own}/change/").text
    for address in ("/admin/questions/guide/add/", f"{own}/change/", f"{own}/delete/"):
        assert as_instructor.post(address, {"post": "yes"}).status_code == 403


def test_no_page_of_an_instructor_shows_a_password_hash(as_instructor, instructor, bank):
    finish(make_attempt(), right=4)
    found, waiting = {}, ["/admin/"]
    while waiting:
        address = waiting.pop()
        if address not in found:
            response = as_instructor.get(address)
            found[address] = response.text
            waiting += pages(response.text)

    assert {
        f"{QUESTIONS}add/",
        f"{QUESTIONS}{Question.objects.first().pk}/change/",
        "/admin/questions/attempt/",
    } <= set(found)
    hashes = User.objects.values_list("password", flat=True)
    assert [address for address, page in found.items() if any(each in page for each in hashes)] == []
    assert [address for address, page in found.items() if "md5$" in page] == []


@pytest.mark.parametrize("lookup", ["user__password__startswith", "user__email", "slots__attempt__user__password"])
def test_a_list_cannot_be_filtered_by_what_it_does_not_show(as_instructor, bank, lookup):
    make_attempt()

    assert as_instructor.get(f"/admin/questions/attempt/?{lookup}=md5").status_code == 400


@pytest.mark.parametrize(
    ("loss", "answer"),
    [("the group", 403), ("the staff flag", 302), ("the account", 302)],
    ids=lambda value: str(value),
)
def test_a_role_that_is_taken_away_is_gone_at_the_next_request(as_instructor, instructor, bank, loss, answer):
    assert as_instructor.get(QUESTIONS).status_code == 200

    if loss == "the group":
        instructor.groups.clear()
    elif loss == "the staff flag":
        User.objects.filter(pk=instructor.pk).update(is_staff=False)
    else:
        User.objects.filter(pk=instructor.pk).update(is_active=False)

    assert as_instructor.get(QUESTIONS).status_code == answer
    assert as_instructor.post(f"{QUESTIONS}add/").status_code == answer


# --- References ---------------------------------------------------------------------------------


def new_reference(**changes):
    data = {name: str(value) for name, value in reference_data("page-new").items() if name != "id"}
    return {"code": "page-new", "bank": "tiny", **data, **changes}


def test_a_reference_is_added_and_offered_to_questions(as_instructor, bank):
    as_instructor.post("/admin/questions/reference/add/", new_reference())

    assert Reference.objects.get(code="page-new").to_record() == reference_data("page-new")
    assert "The title of page-new" in as_instructor.get(f"{QUESTIONS}add/").text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "http://docs.cloud.google.com/x"}, "url"),
        ({"url": "https://docs.cloud.google.com/x?hl=de"}, "url"),
        ({"code": "Page New"}, "code"),
        ({"facts": "One.\r\n\r\nTwo."}, "facts"),
        ({"title": ""}, "title"),
    ],
)
def test_a_reference_that_no_file_could_hold_is_refused(as_instructor, bank, changes, field):
    response = as_instructor.post("/admin/questions/reference/add/", new_reference(**changes))

    assert list(response.context["adminform"].form.errors) == [field]
    assert not Reference.objects.exclude(code="page-one").exists()


def test_a_reference_is_never_deleted(as_instructor, db):
    reference = ReferenceFactory()

    assert as_instructor.post(f"/admin/questions/reference/{reference.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Reference.objects.count() == 1
