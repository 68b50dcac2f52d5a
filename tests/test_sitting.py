import re
from itertools import combinations

import pytest

from questions.models import Attempt, Revision, Slot, User
from tests.factories import NOW, GuideFactory, QuestionFactory, UserFactory, guide_document, make_attempt
from tests.pages import unisolated

pytestmark = pytest.mark.time_machine(NOW, tick=False)


def page_of(response) -> str:
    """The page in one line, without the token that differs each time."""
    return re.sub(r'(csrfmiddlewaretoken" value=")\w+', r"\1", " ".join(unisolated(response.content.decode()).split()))


def options_of(page: str) -> list[tuple[str, str, str, bool]]:
    """Type, letter, text and whether it is ticked, in the order shown."""
    found = re.findall(
        r'<input type="(\w+)" name="letters" value="(\w)" (checked)?> '
        r'<span class="letter">(\w)</span> <span class="text">(.*?)</span>',
        page,
    )
    assert all(value == letter for _, value, _, letter, _ in found)
    return [(kind, value, text, bool(checked)) for kind, value, checked, _, text in found]


def palette_of(page: str) -> list[tuple[str, str]]:
    """What is said of each number, and the number."""
    inside = page.partition('<details class="palette"')[2].partition("</details>")[0]
    return re.findall(r'aria-label="([^"]*)"[^>]*>(\d+)</button>', inside)


@pytest.fixture
def choose_two(db):
    """A bank of one question, of the kind that asks for two options."""
    guide = GuideFactory(document=guide_document(sections=1, per_section=1))
    QuestionFactory(guide=guide, type="multiple")
    return guide


@pytest.fixture
def attempt(bank, taker) -> Attempt:
    return make_attempt(taker)


# --- A question on screen -----------------------------------------------------------------------


def test_a_question_shows_its_stem_and_its_options_in_the_order_of_the_slot(as_taker, attempt):
    for slot in attempt.slots.select_related("question"):
        page = page_of(as_taker.get(f"/exams/{attempt.pk}/{slot.position}/"))

        code = slot.question.code
        assert f"<p>A lighthouse ({code}) needs a model.</p> <p>What should you do?</p>" in page
        assert "<legend>Choose one option</legend>" in page
        assert options_of(page) == [
            ("radio", letter, f"Option {stored} of {code}", False)
            for letter, stored in zip("ABCD", slot.order, strict=True)
        ]
    orders = set(attempt.slots.values_list("order", flat=True))
    assert len(orders) > 1  # shuffled per slot


def test_choose_two_says_so_and_lets_two_be_ticked(as_taker, taker, choose_two):
    attempt = make_attempt(taker)
    attempt.slots.update(letters="BD")

    page = page_of(as_taker.get(f"/exams/{attempt.pk}/1/"))

    assert "<legend>Choose two options</legend>" in page
    assert 'data-choose="2"' in page
    assert [(kind, letter, ticked) for kind, letter, _, ticked in options_of(page)] == [
        ("checkbox", letter, letter in "BD") for letter in "ABCDE"
    ]


def test_what_was_chosen_and_flagged_is_shown_again(as_taker, attempt):
    attempt.slots.filter(position=2).update(letters="C", flagged=True, version=4)

    page = page_of(as_taker.get(f"/exams/{attempt.pk}/2/"))

    assert [letter for _, letter, _, ticked in options_of(page) if ticked] == ["C"]
    assert 'name="flagged" value="0" aria-pressed="true"' in page
    assert '<input type="hidden" name="version" value="4">' in page


def test_the_palette_says_of_every_number_what_was_done(as_taker, attempt):
    attempt.slots.filter(position__in=[1, 3]).update(letters="A")
    attempt.slots.filter(position__in=[3, 4]).update(flagged=True)
    attempt.slots.filter(position__in=[1, 5]).update(seconds=9)
    attempt.slots.filter(position=4).update(version=1)

    page = page_of(as_taker.get(f"/exams/{attempt.pk}/2/"))

    assert palette_of(page) == [
        ("1, answered", "1"),
        ("2, not seen", "2"),
        ("3, answered, flagged", "3"),
        ("4, not answered, flagged", "4"),
        ("5, not answered", "5"),
        ("6, not seen", "6"),
    ]
    assert '<span id="answered">2</span> of 6 answered' in page
    assert re.findall(r'value="(\d)" class="[\w ]*" aria-current="true"', page) == ["2"]


@pytest.mark.parametrize(
    ("position", "buttons"),
    [
        (1, ["1", "finish", "0", "2"]),  # the hidden Save, Finish exam, Previous, Next
        (3, ["3", "finish", "2", "4"]),
        (6, ["6", "finish", "5", "finish"]),
    ],
)
def test_previous_and_next_lead_to_the_neighbours_and_from_the_last_to_the_finish(as_taker, attempt, position, buttons):
    page = page_of(as_taker.get(f"/exams/{attempt.pk}/{position}/"))

    before_palette = page.partition('<details class="palette"')[0]
    assert re.findall(r'name="go" value="(\w+)"', before_palette) == buttons
    assert ('value="0" disabled' in before_palette) is (position == 1)


def test_the_clock_is_given_by_the_server(as_taker, attempt, time_machine):
    time_machine.move_to(NOW.replace(minute=20, second=30), tick=False)

    page = page_of(as_taker.get(f"/exams/{attempt.pk}/1/"))

    now, deadline = int(NOW.timestamp() + 1230) * 1000, int(NOW.timestamp() + 3600) * 1000
    start = int(NOW.timestamp()) * 1000
    assert f'data-now="{now}" data-start="{start}" data-deadline="{deadline}">39:30</span>' in page
    assert '<small id="ends" data-zone="UTC">until 13:00 UTC</small>' in page


@pytest.mark.parametrize(
    "path",
    ["{0}/0/", "{0}/7/", "{0}/99999999999999999999999999/", "99999999999999999999999999/1/", "0/1/", "{0}/-1/"],
)
def test_places_that_do_not_exist_are_not_found(as_taker, attempt, path):
    place = f"/exams/{path.format(attempt.pk)}"

    assert as_taker.get(place).status_code == 404
    assert as_taker.post(f"{place}answer/", {"letters": "A", "version": "0"}).status_code == 404
    assert as_taker.post(f"{place}time/", {"seconds": "1"}).status_code == 404


@pytest.mark.parametrize("page", ["finish", "report", "review"])
def test_a_huge_number_of_an_exam_is_not_found(as_taker, bank, page):
    assert as_taker.get(f"/exams/99999999999999999999999999/{page}/").status_code == 404


def test_htmx_gets_the_question_alone_and_its_address(as_taker, attempt):
    whole = page_of(as_taker.get(f"/exams/{attempt.pk}/2/"))
    response = as_taker.get(f"/exams/{attempt.pk}/2/", headers={"HX-Request": "true"})

    fragment = page_of(response).strip()
    assert response.headers["HX-Push-Url"] == f"/exams/{attempt.pk}/2/"
    assert fragment.startswith('<form id="sitting"')
    assert fragment.endswith("</form>")
    assert fragment in whole
    assert "<html" in whole


def test_htmx_leaves_the_question_when_the_exam_is_over_and_never_gets_another_page_into_it(as_taker, attempt):
    attempt.settle(NOW)

    response = as_taker.get(f"/exams/{attempt.pk}/2/", headers={"HX-Request": "true"})

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["HX-Refresh"] == "true"


# --- Secrecy ------------------------------------------------------------------------------------


def rewrite(slot: Slot, key: str) -> None:
    """Make other options the key, with other reasons, and leave all else alone."""
    content = slot.revision.content
    for letter, stored in zip("ABCDE", slot.order, strict=False):
        content["options"][int(stored)] |= {"key": letter in key, "why": f"Secret, as {key} is the key."}
    content |= {"explanation": f"The rule says {key}.", "references": ["page-one"] * len(key)}
    Revision.objects.filter(pk=slot.revision_id).update(content=content)
    Slot.objects.filter(pk=slot.pk).update(key=key)


def everything_shown(client, attempt: Attempt) -> list[tuple[dict[str, str], str]]:
    """Headers and pages that a taker can reach before submission, and the reply to a save that changes nothing."""
    base = f"/exams/{attempt.pk}/"
    replies = [
        client.get(f"{base}1/"),
        client.get(f"{base}1/", headers={"HX-Request": "true"}),
        client.get(f"{base}finish/"),
        client.get(f"{base}submit/"),
        client.get(f"{base}report/"),
        client.get(f"{base}review/"),
        client.get(f"{base}review/1/"),
        client.get("/"),
        client.post(f"{base}1/answer/", {"letters": "A", "version": "1"}, headers={"Accept": "application/json"}),
        client.post(f"{base}1/answer/", {"letters": "E" * 3, "version": "1"}),
    ]
    own = "X-Request-ID"  # each reply has another
    return [({n: v for n, v in reply.headers.items() if n != own}, page_of(reply)) for reply in replies]


def test_before_submission_nothing_shown_depends_on_the_key(as_taker, attempt):
    slot = attempt.slots.select_related("revision").get(position=1)
    Slot.objects.filter(pk=slot.pk).update(letters="A", version=1)

    shown = []
    for key in "ABCD":
        rewrite(slot, key)
        shown.append(everything_shown(as_taker, attempt))

    assert shown[0] == shown[1] == shown[2] == shown[3]
    assert not [text for _, text in shown[0] if "Secret" in text or "The rule" in text or "Because of" in text]


def test_before_submission_nothing_shown_depends_on_the_two_keys_of_choose_two(as_taker, taker, choose_two):
    attempt = make_attempt(taker)
    slot = attempt.slots.select_related("revision").get()
    slot.letters, slot.version = "A", 1
    slot.save()

    shown = []
    for key in combinations("ABCDE", 2):
        rewrite(slot, "".join(key))
        shown.append(everything_shown(as_taker, attempt))

    assert len(shown) == 10
    assert all(each == shown[0] for each in shown)


# --- Flag, clear --------------------------------------------------------------------------------


def test_a_flag_is_put_and_taken_back_and_the_answer_stays(as_taker, attempt):
    place = f"/exams/{attempt.pk}/1/"
    seen = []
    for version, flagged in enumerate(("1", "0")):
        response = as_taker.post(f"{place}answer/", {"letters": "B", "version": version, "flagged": flagged})
        seen.append((response.url, *attempt.slots.values_list("letters", "flagged").get(position=1)))

    assert seen == [(place, "B", True), (place, "B", False)]


def test_clearing_takes_the_answer_back_even_while_an_option_is_ticked(as_taker, attempt):
    attempt.slots.filter(position=1).update(letters="B", flagged=True, version=1)

    as_taker.post(f"/exams/{attempt.pk}/1/answer/", {"letters": "B", "version": "1", "clear": "1"})

    assert attempt.slots.values_list("letters", "flagged", "version").get(position=1) == ("", True, 2)


# --- Edits of the bank --------------------------------------------------------------------------


def test_a_running_exam_and_a_past_one_keep_the_question_as_it_was_drawn(client, attempt):
    slot = attempt.slots.select_related("question").get(position=1)
    slot.question.stem = "A harbour needs a forecast."
    slot.question.save()
    slot.question.options.filter(is_key=True).update(text="A new key")
    slot.question.record_change(NOW)

    client.force_login(attempt.user)
    running = page_of(client.get(f"/exams/{attempt.pk}/1/"))
    client.post(f"/exams/{attempt.pk}/submit/")
    past = page_of(client.get(f"/exams/{attempt.pk}/review/1/"))

    for page in (running, past):
        assert f"A lighthouse ({slot.question.code}) needs a model." in page
        assert "A harbour" not in page
        assert "A new key" not in page


def test_the_next_exam_asks_the_question_as_edited(client, attempt):
    slot = attempt.slots.select_related("question").get(position=1)
    slot.question.stem = "A harbour needs a forecast."
    slot.question.save()
    slot.question.record_change(NOW)
    other: User = UserFactory()
    client.force_login(other)

    client.post("/exams/start/")

    drawn = other.attempts.get().slots.get(question=slot.question)
    page = page_of(client.get(f"/exams/{drawn.attempt_id}/{drawn.position}/"))
    assert "A harbour needs a forecast." in page
