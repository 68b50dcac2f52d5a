from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError

from questions.models import Attempt, SaveEvent, Slot
from questions.models.attempts import LATE, REUSED, SAVED, STALE, Save
from tests.factories import NOW, GuideFactory, QuestionFactory, UserFactory, finish, guide_document, make_attempt

pytestmark = pytest.mark.time_machine(NOW, tick=False)

OP, OTHER_OP = UUID(int=1), UUID(int=2)
JSON = {"Accept": "application/json"}
OVER = NOW + timedelta(minutes=60, seconds=5, milliseconds=1)  # the grace has passed too


@pytest.fixture
def attempt(bank, taker) -> Attempt:
    return make_attempt(taker)


@pytest.fixture
def slot(attempt) -> Slot:
    return attempt.slots.get(position=1)


def stored(slot: Slot) -> dict[str, Any]:
    return Slot.objects.values("letters", "flagged", "version", "seconds").get(pk=slot.pk)


def events(slot: Slot) -> list[tuple[Any, ...]]:
    return list(slot.events.values_list("op", "letters", "flagged", "version", "late"))


def read(slot: Slot) -> Slot:
    """The slot as a request reads it, before anything is decided."""
    return Slot.objects.select_related("attempt").get(pk=slot.pk)


def send(client, slot: Slot, headers: dict[str, str] = JSON, **data: Any):
    return client.post(f"/exams/{slot.attempt_id}/{slot.position}/answer/", {"version": 0, **data}, headers=headers)


# --- The rule -----------------------------------------------------------------------------------


def test_a_save_that_saw_an_older_version_changes_nothing_and_learns_what_is_stored(slot):
    read(slot).save_answer(Save(OP, base=0, letters="A"), NOW)
    behind = read(slot)

    result = behind.save_answer(Save(OTHER_OP, base=0, letters="B", seconds=9), NOW)

    assert (result, behind.letters, behind.version) == (STALE, "A", 1)
    assert stored(slot) == {"letters": "A", "flagged": False, "version": 1, "seconds": 0}
    assert events(slot) == [(OP, "A", False, 1, False)]


def test_a_save_that_the_database_refuses_for_another_reason_is_a_fault_and_no_older_version(
    as_taker, slot, monkeypatch
):
    def refuse(**values: Any) -> None:
        raise IntegrityError("NOT NULL constraint failed")

    monkeypatch.setattr(SaveEvent.objects, "create", refuse)
    as_taker.raise_request_exception = False

    response = send(as_taker, slot, letters="A", op=str(OP))

    assert response.status_code == 500  # so the browser keeps it and tries again
    assert stored(slot) == {"letters": "", "flagged": False, "version": 0, "seconds": 0}
    assert events(slot) == []


def test_of_two_that_saw_the_same_version_the_first_wins(slot):
    one, two = read(slot), read(slot)

    results = [
        one.save_answer(Save(OP, base=0, letters="A"), NOW),
        two.save_answer(Save(OTHER_OP, base=0, letters="B"), NOW),
    ]

    assert results == [SAVED, STALE]
    assert (two.letters, two.version) == ("A", 1)


def test_a_submission_between_reading_and_writing_makes_the_save_late(slot):
    before = read(slot)
    slot.attempt.settle(NOW)

    result = before.save_answer(Save(OP, base=0, letters="A"), NOW)

    assert result == LATE
    assert stored(slot)["letters"] == ""
    assert events(slot) == [(OP, "A", False, 0, True)]


def test_each_change_grows_the_version_and_leaves_one_event(slot):
    steps = [
        Save(UUID(int=1), base=0, letters="A", seconds=5),
        Save(UUID(int=2), base=1, flagged=True),
        Save(UUID(int=3), base=2, letters="", seconds=2),
    ]

    results = [read(slot).save_answer(step, NOW) for step in steps]

    assert results == [SAVED, SAVED, SAVED]
    assert stored(slot) == {"letters": "", "flagged": True, "version": 3, "seconds": 7}
    assert events(slot) == [
        (UUID(int=1), "A", False, 1, False),
        (UUID(int=2), "A", True, 2, False),
        (UUID(int=3), "", True, 3, False),
    ]


@pytest.mark.parametrize(("base", "seconds"), [(0, 5), (1, 8), (7, 5)])
def test_what_is_stored_already_adds_at_most_its_seconds(slot, base, seconds):
    read(slot).save_answer(Save(OP, base=0, letters="A", seconds=5), NOW)

    result = read(slot).save_answer(Save(OTHER_OP, base=base, letters="A", seconds=3), NOW)

    assert result == SAVED
    assert stored(slot) == {"letters": "A", "flagged": False, "version": 1, "seconds": seconds}
    assert events(slot) == [(OP, "A", False, 1, False)]


@pytest.mark.parametrize("base", [0, 2])
def test_repeating_an_operation_succeeds_and_changes_nothing_even_after_newer_ones(slot, base):
    first = Save(OP, base=0, letters="A")
    read(slot).save_answer(first, NOW)
    at_once = read(slot).save_answer(first, NOW)
    read(slot).save_answer(Save(OTHER_OP, base=1, letters="B"), NOW)
    before = (stored(slot), events(slot))

    again = read(slot)
    later = again.save_answer(Save(OP, base=base, letters="A"), NOW)

    assert (at_once, later) == (SAVED, SAVED)
    assert (again.letters, again.version) == ("B", 2)
    assert (stored(slot), events(slot)) == before


@pytest.mark.parametrize("base", [0, 1])
def test_an_operation_cannot_be_used_again_for_something_else(slot, base):
    read(slot).save_answer(Save(OP, base=0, letters="A"), NOW)

    result = read(slot).save_answer(Save(OP, base=base, letters="B"), NOW)

    assert result == REUSED
    assert stored(slot)["letters"] == "A"
    assert len(events(slot)) == 1


def test_two_slots_may_use_the_same_operation(attempt):
    results = [read(slot).save_answer(Save(OP, base=0, letters="A"), NOW) for slot in attempt.slots.all()[:2]]

    assert results == [SAVED, SAVED]


# --- What a script gets -------------------------------------------------------------------------


@pytest.mark.parametrize("letters", ["A", "B", "C", "D"])
def test_the_reply_to_a_save_is_the_same_for_right_and_wrong(as_taker, slot, letters):
    response = send(as_taker, slot, letters=letters, op=OP, flagged="1", seconds=12)

    assert response.status_code == 200
    assert response.json() == {
        "result": "saved",
        "version": 1,
        "letters": letters,
        "flagged": True,
        "confidence": 0,
        "struck": "",
        "marks": "",
        "note": "",
        "now": int(NOW.timestamp() * 1000),
        "deadline": int(NOW.timestamp() * 1000) + 3_600_000,
    }
    assert stored(slot) == {"letters": letters, "flagged": True, "version": 1, "seconds": 12}


def test_replies_to_right_and_wrong_saves_have_one_shape_and_size(as_taker, slot):
    replies = [send(as_taker, slot, letters=letters, version=version) for version, letters in enumerate("ABCD")]

    for reply in replies:
        del reply.headers["X-Request-ID"]  # new each time
    shapes = {(reply.status_code, len(reply.content), tuple(reply.headers.items())) for reply in replies}
    assert len(shapes) == 1


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"letters": ["A", "B"]}, "Choose one option only. Untick one first."),
        ({"letters": ["E"]}, "This question has no option E. Choose one that is shown."),
        ({"letters": ["a"]}, "This question has no option a. Choose one that is shown."),
        ({"letters": ["AB"]}, "This question has no option AB. Choose one that is shown."),
        ({"letters": ["B"], "version": "-1"}, "Ensure this value is greater than or equal to 0."),
        ({"letters": ["B"], "version": "x"}, "Enter a whole number."),
        ({"letters": ["B"], "version": "9" * 5000}, "Enter a whole number."),
        ({"letters": ["B"], "version": ""}, "This field is required."),
        ({"letters": ["B"], "op": "1"}, "Enter a valid UUID."),
        ({"letters": ["B"], "flagged": "yes"}, "Select a valid choice. yes is not one of the available choices."),
        ({"letters": ["B"], "seconds": "-1"}, "Ensure this value is greater than or equal to 0."),
        ({"letters": ["B"], "go": "up"}, "There is no such page."),
        ({"letters": ["B"], "go": "1234567"}, "Ensure this value has at most 6 characters (it has 7)."),
    ],
)
def test_what_cannot_be_a_save_is_refused_and_nothing_is_lost(as_taker, slot, data, told):
    Slot.objects.filter(pk=slot.pk).update(letters="C", version=1)
    before = stored(slot)

    response = send(as_taker, slot, **{"version": 1, **data})

    assert (response.status_code, response.json()) == (422, {"problems": [told]})
    assert (stored(slot), events(slot)) == (before, [])


def test_a_stale_save_gets_what_is_stored(as_taker, slot):
    Slot.objects.filter(pk=slot.pk).update(letters="C", flagged=True, version=3)

    response = send(as_taker, slot, letters="A", version=2)

    reply = response.json()
    assert response.status_code == 409
    assert (reply["result"], reply["letters"], reply["flagged"], reply["version"]) == ("stale", "C", True, 3)
    assert stored(slot) == {"letters": "C", "flagged": True, "version": 3, "seconds": 0}


def test_a_stale_save_learns_whose_operation_stored_it_and_a_late_one_is_not_named(as_taker, slot):
    for version, op in enumerate((OP, OTHER_OP)):
        send(as_taker, slot, letters="AB"[version], version=version, op=op)
    SaveEvent.objects.create(slot=slot, op=UUID(int=3), at=NOW, letters="D", flagged=False, version=2, late=True)

    reply = send(as_taker, slot, letters="C", version=1, op=UUID(int=4)).json()

    assert reply == {
        "result": "stale",
        "version": 2,
        "letters": "B",
        "flagged": False,
        "confidence": 0,
        "struck": "",
        "marks": "",
        "note": "",
        "now": int(NOW.timestamp() * 1000),
        "deadline": int(NOW.timestamp() * 1000) + 3_600_000,
        "op": OTHER_OP.hex,
    }


def test_the_same_operation_five_times_makes_one_event_and_another_body_is_refused(as_taker, slot):
    # reliability case 20
    replies = [send(as_taker, slot, letters=letters, op=OP) for letters in ("A", "A", "A", "A", "A", "B")]
    flag = send(as_taker, slot, letters="A", flagged="1", op=OP)

    assert [reply.status_code for reply in replies] == [200] * 5 + [422]
    assert [reply.json() for reply in replies[:5]] == [replies[0].json()] * 5
    assert flag.status_code == 422
    assert stored(slot) == {"letters": "A", "flagged": False, "version": 1, "seconds": 0}
    assert events(slot) == [(OP, "A", False, 1, False)]


def test_after_submission_a_save_is_gone_kept_and_told_on_the_report(as_taker, attempt, slot):
    finish(attempt, right=6, after=timedelta(minutes=0))
    wrong = next(letter for letter in "ABCD" if letter != slot.key)

    statuses = [send(as_taker, slot, letters=letters, op=OP).status_code for letters in (wrong, wrong)]
    report = " ".join(as_taker.get(f"/exams/{attempt.pk}/report/").content.decode().split())

    assert statuses == [410, 410]
    assert stored(slot)["letters"] == slot.key
    assert events(slot) == [(OP, wrong, False, 0, True)]
    assert Attempt.objects.get().right == 6
    assert "1 answer came after the end. It is kept, but not scored." in report


def test_choose_two_takes_two_letters_in_any_order_but_not_three(client, db):
    guide = GuideFactory(document=guide_document(sections=1, per_section=1))
    QuestionFactory(guide=guide, type="multiple")
    slot = make_attempt().slots.get()
    client.force_login(slot.attempt.user)

    two = send(client, slot, letters=["D", "B"])
    three = send(client, slot, letters=["A", "B", "C"], version=1)

    assert (two.status_code, two.json()["letters"]) == (200, "BD")
    assert (three.status_code, three.json()) == (422, {"problems": ["Choose two options only. Untick one first."]})
    assert stored(slot)["letters"] == "BD"


# --- Who may save -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "told"),
    [
        (JSON, 401, b'{"reason": "signed-out"}'),
        ({"HX-Request": "true"}, 401, b""),
        ({"Accept": "text/html"}, 302, b""),
    ],
)
def test_signed_out_each_kind_of_caller_learns_it_in_its_own_way(client, slot, headers, status, told):
    response = send(client, slot, headers=headers, letters="A")

    assert (response.status_code, response.content) == (status, told)
    assert ("HX-Redirect" in response.headers) is ("HX-Request" in headers)
    assert stored(slot)["letters"] == ""


def test_htmx_leads_somebody_signed_out_to_the_sign_in_and_back(client, slot):
    response = client.get(f"/exams/{slot.attempt_id}/2/", headers={"HX-Request": "true"})

    assert response.status_code == 401
    assert response.headers["HX-Redirect"] == f"/sign-in/?next=/exams/{slot.attempt_id}/2/"


@pytest.mark.parametrize(
    ("referer", "place"),
    [
        ("http://testserver/exams/7/2/", "/sign-in/?next=/exams/7/2/"),
        ("http://testserver.evil.example/exams/7/2/", "/sign-in/"),
        ("http://testserver//evil.example/", "/sign-in/?next=//evil.example/"),  # which the sign-in does not follow
        ("http://evil.example/exams/7/2/", "/sign-in/"),
        ("http://[", "/sign-in/"),
        ("", "/sign-in/"),
    ],
)
def test_a_plain_form_of_somebody_signed_out_leads_to_the_sign_in_and_back_to_its_page(client, slot, referer, place):
    response = send(client, slot, headers={"Referer": referer}, letters="A")

    assert (response.status_code, response.url) == (302, place)


def test_nobody_saves_into_the_exam_of_somebody_else(client, slot):
    client.force_login(UserFactory())

    assert send(client, slot, letters="A").status_code == 404
    assert stored(slot) == {"letters": "", "flagged": False, "version": 0, "seconds": 0}
    assert SaveEvent.objects.count() == 0


# --- Plain forms --------------------------------------------------------------------------------


@pytest.mark.parametrize(("go", "reached"), [("", "1/"), ("2", "2/"), ("5", "5/"), ("finish", "finish/")])
def test_a_plain_form_saves_and_goes_where_its_button_says(as_taker, slot, go, reached):
    response = send(as_taker, slot, headers={}, letters="B", go=go)

    assert (response.status_code, response.url) == (302, f"/exams/{slot.attempt_id}/{reached}")
    assert stored(slot) == {"letters": "B", "flagged": False, "version": 1, "seconds": 0}


@pytest.mark.parametrize(
    ("ago", "seconds"),
    [(timedelta(seconds=42), 42), (timedelta(hours=3), 3600), (timedelta(seconds=-30), 0)],
)
def test_a_plain_form_counts_the_seconds_since_its_page_was_made(as_taker, slot, ago, seconds):
    send(as_taker, slot, headers={}, letters="B", since=int((NOW - ago).timestamp() * 1000))

    assert stored(slot)["seconds"] == seconds


def test_a_refused_plain_form_says_why_and_keeps_what_was_ticked(as_taker, slot):
    response = send(as_taker, slot, headers={}, letters=["A", "C"], go="2")

    page = response.content.decode()
    assert response.status_code == 422
    assert "Choose one option only. Untick one first." in page
    assert [f'value="{letter}" checked' in page for letter in "ABCD"] == [True, False, True, False]
    assert stored(slot)["letters"] == ""


def test_a_stale_plain_form_shows_what_is_stored(as_taker, slot):
    Slot.objects.filter(pk=slot.pk).update(letters="C", version=1)

    response = send(as_taker, slot, headers={}, letters="A", go="2")

    page = response.content.decode()
    assert response.status_code == 409
    assert "This question was changed in another window or on another device." in page
    assert [f'value="{letter}" checked' in page for letter in "ABCD"] == [False, False, True, False]
    assert '<input type="hidden" name="version" value="1">' in page
    assert stored(slot)["letters"] == "C"


def test_a_late_plain_form_is_told_so(as_taker, slot, time_machine):
    time_machine.move_to(OVER, tick=False)

    response = send(as_taker, slot, headers={}, letters="A", go="2")

    assert response.status_code == 410
    assert "This answer came too late" in response.content.decode()
    assert [event[1:] for event in events(slot)] == [("A", False, 0, True)]


# --- Time spent ---------------------------------------------------------------------------------


def test_time_spent_adds_up_and_leaves_the_version_alone(as_taker, slot):
    place = f"/exams/{slot.attempt_id}/1/time/"

    replies = [as_taker.post(place, {"seconds": seconds}) for seconds in (5, 3600)]

    assert [(reply.status_code, reply.content) for reply in replies] == [(204, b""), (204, b"")]
    assert stored(slot) == {"letters": "", "flagged": False, "version": 0, "seconds": 3605}


@pytest.mark.parametrize("seconds", ["", "0", "-5", "3601", "many"])
def test_time_that_makes_no_sense_is_refused(as_taker, slot, seconds):
    response = as_taker.post(f"/exams/{slot.attempt_id}/1/time/", {"seconds": seconds}, headers=JSON)

    assert response.status_code == 422
    assert list(response.json()) == ["problems"]
    assert stored(slot)["seconds"] == 0


def test_no_time_is_added_to_a_finished_exam(as_taker, slot):
    slot.attempt.settle(NOW)

    assert as_taker.post(f"/exams/{slot.attempt_id}/1/time/", {"seconds": 5}).status_code == 404
    assert stored(slot)["seconds"] == 0


def test_the_time_of_a_question_stops_at_a_day_however_often_more_is_sent(as_taker, slot):
    Slot.objects.filter(pk=slot.pk).update(seconds=24 * 3600 - 5)
    place = f"/exams/{slot.attempt_id}/1/time/"

    found = []
    for send_more in (
        lambda: as_taker.post(place, {"seconds": 3}),
        lambda: as_taker.post(place, {"seconds": 3600}),
        lambda: send(as_taker, slot, letters="A", seconds=3600),
        lambda: send(as_taker, slot, letters="A", version=1, seconds=3600),
    ):
        assert send_more().status_code in (200, 204)
        found.append(stored(slot)["seconds"])

    assert found == [24 * 3600 - 2, 24 * 3600, 24 * 3600, 24 * 3600]


def test_a_column_that_is_full_does_not_overflow(as_taker, slot):
    Slot.objects.filter(pk=slot.pk).update(seconds=2**31 - 1)  # the most that PostgreSQL keeps in it

    assert as_taker.post(f"/exams/{slot.attempt_id}/1/time/", {"seconds": 3600}).status_code == 204
    assert stored(slot)["seconds"] == 24 * 3600
