"""Three made-up questions to try the screen on: the exam's own contract, with nothing scored and nothing stored but in the session."""

import re
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session

from questions.models import Attempt, Counter, SaveEvent, User
from questions.warm_up import QUESTIONS, WarmUp, tried
from tests.factories import NOW
from tests.test_sitting import options_of, page_of

pytestmark = [pytest.mark.time_machine(NOW, tick=False), pytest.mark.django_db]

OPS = [f"{number:032x}" for number in range(1, 10)]
EMPTY = {"letters": "", "flagged": False, "confidence": 0, "struck": "", "marks": "", "note": ""}
MS = int(NOW.timestamp() * 1000)


@pytest.fixture
def warming(as_taker):
    """A taker's client who has begun the warm-up."""
    as_taker.post("/exams/warm-up/")
    return as_taker


def send(client, position: int = 1, **data):
    headers = {"Accept": "application/json"}
    return client.post(f"/exams/warm-up/{position}/answer/", {"version": 0, "op": OPS[0]} | data, headers=headers)


def stored(client, position: int = 1) -> dict:
    return client.session["warm_up"]["slots"][position - 1]


# --- The way through ----------------------------------------------------------------------------


def test_a_warm_up_begins_with_a_press_and_writes_no_row_but_the_session(as_taker):
    response = as_taker.post("/exams/warm-up/")
    pages = [as_taker.get(f"/exams/warm-up/{page}/").status_code for page in (1, 2, 3, "finish")]

    assert (response.status_code, response.url, pages) == (302, "/exams/warm-up/1/", [200] * 4)
    assert (Attempt.objects.count(), SaveEvent.objects.count(), Counter.objects.count()) == (0, 0, 0)


def test_its_questions_look_like_those_of_an_exam(warming):
    pages = [page_of(warming.get(f"/exams/warm-up/{position}/")) for position in (1, 2, 3)]

    assert [[(kind, letter) for kind, letter, _, _ in options_of(page)] for page in pages] == [
        [("radio", letter) for letter in "ABCD"],
        [("checkbox", letter) for letter in "ABCDE"],
        [("radio", letter) for letter in "ABCD"],
    ]
    for position, page in enumerate(pages, start=1):
        assert f'action="/exams/warm-up/{position}/answer/"' in page
        assert f'data-attempt="warm-up" data-position="{position}" data-choose="{2 if position == 2 else 1}"' in page
    assert '<pre class="code" tabindex="0">' in pages[2]


def test_htmx_gets_one_question_alone_and_its_address(warming):
    response = warming.get("/exams/warm-up/2/", headers={"HX-Request": "true"})

    assert response.headers["HX-Push-Url"] == "/exams/warm-up/2/"
    assert page_of(response).strip().startswith('<form id="sitting"')


@pytest.mark.parametrize("position", [0, 4, 99999999999999999999999999])
def test_there_is_no_other_number(warming, position):
    statuses = [
        warming.get(f"/exams/warm-up/{position}/").status_code,
        send(warming, position, letters="A").status_code,
        warming.post(f"/exams/warm-up/{position}/time/", {"seconds": "1"}).status_code,
    ]

    assert statuses == [404, 404, 404]


def test_beginning_again_begins_anew(warming):
    send(warming, letters="A")

    warming.post("/exams/warm-up/")

    assert stored(warming)["letters"] == ""


# --- The contract of a save ---------------------------------------------------------------------


def test_a_save_is_answered_with_all_that_is_stored(warming):
    sent = {"letters": "B", "flagged": "1", "confidence": "2", "struck": "AD", "marks": "3-9", "note": "Mind this."}
    reply = send(warming, **sent)

    assert (reply.status_code, reply.json()) == (
        200,
        {
            "result": "saved",
            "version": 1,
            "letters": "B",
            "flagged": True,
            "confidence": 2,
            "struck": "AD",
            "marks": "3-9",
            "note": "Mind this.",
            "now": MS,
            "deadline": MS + 600_000,
        },
    )
    page = page_of(warming.get("/exams/warm-up/1/"))
    assert [letter for _, letter, _, ticked in options_of(page) if ticked] == ["B"]


def test_the_same_operation_again_changes_nothing_and_succeeds(warming):
    replies = [send(warming, letters="B").json() for _ in range(2)]

    assert replies[0] == replies[1]
    assert stored(warming)["version"] == 1


def test_an_operation_cannot_be_used_again_for_something_else(warming):
    send(warming, letters="B")

    reply = send(warming, letters="C")

    assert (reply.status_code, reply.json()["result"], stored(warming)["letters"]) == (422, "reused", "B")


def test_a_save_that_saw_an_older_version_changes_nothing_and_learns_what_is_stored(warming):
    send(warming, letters="B", op=OPS[0])

    reply = send(warming, letters="C", op=OPS[1])

    assert (reply.status_code, reply.json()) == (
        409,
        EMPTY | {"result": "stale", "version": 1, "letters": "B", "now": MS, "deadline": MS + 600_000, "op": OPS[0]},
    )
    assert stored(warming)["letters"] == "B"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"letters": "E"}, "This question has no option E. Choose one that is shown."),
        ({"letters": ["A", "B"]}, "Choose one option only. Untick one first."),
        ({"note": "x" * 2001}, "A note holds 2000 characters. Shorten it by 1."),
    ],
)
def test_what_the_exam_would_refuse_is_refused(warming, data, problem):
    before = stored(warming)

    reply = send(warming, **data)

    assert (reply.status_code, reply.json(), stored(warming)) == (422, {"problems": [problem]}, before)


def test_plain_forms_lead_where_they_ask_to(warming):
    urls = [
        warming.post("/exams/warm-up/1/answer/", {"version": version, "letters": "A", "go": go}).url
        for version, go in ((0, ""), (1, "3"), (1, "finish"))
    ]
    stale = warming.post("/exams/warm-up/1/answer/", {"version": 0, "letters": "B"})
    wrong = warming.post("/exams/warm-up/2/answer/", {"version": 0, "letters": ["A", "B", "C"]})

    assert urls == ["/exams/warm-up/1/", "/exams/warm-up/3/", "/exams/warm-up/finish/"]
    assert (stale.status_code, wrong.status_code) == (409, 422)
    assert "This question was changed in another window" in page_of(stale)
    assert [letter for _, letter, _, ticked in options_of(page_of(wrong)) if ticked] == ["A", "B", "C"]


def test_time_spent_is_added_up(warming):
    send(warming, letters="A", seconds=7)
    statuses = [
        warming.post("/exams/warm-up/1/time/", {"seconds": seconds}).status_code for seconds in ("5", "0", "3601")
    ]

    assert (statuses, stored(warming)["seconds"]) == ([204, 422, 422], 12)


# --- The clock ----------------------------------------------------------------------------------


def test_the_clock_of_ten_minutes_starts_with_it_and_then_its_pages_lead_back_to_the_start(warming, bank, time_machine):
    time_machine.move_to(NOW + timedelta(minutes=9, seconds=59), tick=False)
    assert f'data-deadline="{MS + 600_000}">0:01</span>' in page_of(warming.get("/exams/warm-up/2/"))

    time_machine.move_to(NOW + timedelta(minutes=10), tick=False)
    over = [warming.get(f"/exams/warm-up/{page}/").url for page in (1, 3, "finish")]
    swapped = warming.get("/exams/warm-up/1/", headers={"HX-Request": "true"})
    start = page_of(warming.get(over[0]))

    assert over == ["/exams/start/?warm-up=over"] * 3
    assert (swapped.content, swapped.headers["HX-Refresh"]) == (b"", "true")
    assert "The ten minutes of the warm-up are over." in start


def test_what_is_under_way_when_the_time_is_up_is_still_taken(warming, time_machine):
    time_machine.move_to(NOW + timedelta(minutes=20), tick=False)

    by_script = send(warming, letters="C")
    by_form = warming.post("/exams/warm-up/2/answer/", {"version": 0, "letters": "A", "go": "3"})

    assert (by_script.status_code, by_script.json()["letters"]) == (200, "C")
    assert by_form.url == "/exams/start/?warm-up=over"


def test_who_has_not_begun_is_led_to_the_start_page_and_sends_nothing(as_taker):
    assert as_taker.get("/exams/warm-up/1/").url == "/exams/start/"
    assert send(as_taker, letters="A").status_code == 404
    assert as_taker.post("/exams/warm-up/1/time/", {"seconds": "1"}).status_code == 404
    assert "warm_up" not in as_taker.session


def test_two_people_have_a_warm_up_each(warming, client):
    send(warming, letters="A")
    other = type(client)()
    other.force_login(User.objects.create_guest())
    other.post("/exams/warm-up/")

    assert send(other, letters="D").json()["version"] == 1
    assert (stored(warming)["letters"], stored(other)["letters"]) == ("A", "D")


# --- What it holds, what it says ----------------------------------------------------------------


def test_the_session_stays_small_whatever_is_sent(warming):
    for position in (1, 2, 3):
        for version in range(4):
            marks = ",".join(f"{n}0-{n}5" for n in range(100, 155))[:495].rpartition(",")[0]
            data = {"letters": "ABCD"[version], "marks": marks, "note": chr(97 + version) * 2000, "version": version}
            assert send(warming, position, op=f"{position}{version}".rjust(32, "0"), **data).status_code == 200

    assert len(Session.objects.get().session_data) < 15_000


def test_the_finish_names_what_was_tried_and_what_not_yet(warming, taker):
    send(warming, 1, letters="A", struck="D")
    send(warming, 2, letters="A", flagged="1", op=OPS[1])

    page = page_of(warming.get("/exams/warm-up/finish/"))

    said = [" ".join(re.sub(r"<[^>]+>", "", each).split()) for each in re.findall(r"<li>(.*?)</li>", page)]
    assert said == [
        "✓ You have chosen an option.",
        "○ You have not chosen two options where two are asked for yet: click on both, in question 2, or press their letters.",
        "✓ You have struck out an option.",
        "✓ You have flagged a question.",
        "○ You have not said how sure you are yet: say it below the options, or press U.",
        "○ You have not highlighted words yet: select some, then use Highlight, or press H.",
        "○ You have not written a note yet: open Note below the options, or press N.",
    ]
    assert 'href="/exams/start/">On to the exam</a>' in page


def test_it_names_no_keys_where_single_keys_are_off(warming, taker):
    User.objects.filter(pk=taker.pk).update(single_keys=False)

    page = page_of(warming.get("/exams/warm-up/finish/"))

    assert "You have not flagged a question yet:</strong> use Flag for review. </li>" in page
    assert ", or press" not in page


def test_the_keys_it_names_are_those_that_the_exam_has(as_taker, bank):
    keys = page_of(as_taker.get("/exams/start/")).partition('<table class="keys">')[2].partition("</table>")[0]

    named = [keys_of for _, _, _, keys_of in tried(WarmUp(NOW).slots)]

    assert [name for name in named if name[1:2] in ("", ",") and f"<kbd>{name[0]}</kbd>" not in keys] == []


def test_everything_can_be_tried(warming):
    send(warming, 2, letters=["A", "C"], struck="B", flagged="1", confidence="1", marks="0-4", note="Done.")

    page = page_of(warming.get("/exams/warm-up/finish/"))

    assert "not yet" not in page
    assert page.count("✓") == len(tried(WarmUp(NOW).slots)) == 7


def test_its_texts_have_no_key_and_speak_of_no_score():
    assert [sorted(question) for question in QUESTIONS] == [["options", "stem", "type"]] * 3
    assert {tuple(option) for question in QUESTIONS for option in question["options"]} == {("text",)}
    assert not [q for q in QUESTIONS if re.search(r"\b(score|right|wrong|correct|key)\b", str(q), re.IGNORECASE)]
