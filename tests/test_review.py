import html
import re

import pytest

from questions.models import Attempt
from questions.models.attempts import Confidence
from tests.factories import NOW, ReferenceFactory, make_attempt
from tests.pages import unisolated

pytestmark = pytest.mark.time_machine(NOW, tick=False)


@pytest.fixture
def attempt(bank, taker) -> Attempt:
    """Finished: 1 and 2 right, 3 and 4 wrong, 5 and 6 unanswered; the even ones flagged; sure of 2 and 4."""
    attempt = make_attempt(taker)
    for slot in attempt.slots.all():
        wrong = next(letter for letter in "ABCD" if letter != slot.key)
        slot.letters = slot.key if slot.position <= 2 else wrong if slot.position <= 4 else ""
        slot.flagged, slot.seconds = slot.position % 2 == 0, slot.position * 35
        slot.confidence = Confidence.SURE if slot.position in (2, 4) else Confidence.UNSAID
        slot.save()
    attempt.settle(NOW)
    return attempt


def page_of(client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return html.unescape(" ".join(unisolated(response.content.decode()).split()))


def listed(page: str) -> list[int]:
    return [int(number) for number in re.findall(r">Question (\d+)</a>", page)]


def links(page: str) -> dict[str, str]:
    """The ways on from one question: what is written on each, and where it leads."""
    inside = page.partition('<nav class="actions" aria-label="Questions">')[2].partition("</nav>")[0]
    return {title: href for href, title in re.findall(r'href="([^"]+)">([^<]+)</a>', inside)}


# --- Refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["report/", "review/", "review/1/"])
def test_while_the_exam_runs_nothing_opens_and_the_way_back_is_offered(as_taker, taker, bank, path):
    running = make_attempt(taker)

    response = as_taker.get(f"/exams/{running.pk}/{path}")

    page = response.content.decode()
    assert response.status_code == 403
    assert "<h1>This exam is still running</h1>" in page
    assert f'href="/exams/{running.pk}/1/">Resume exam</a>' in page
    assert "Because of" not in page


@pytest.mark.parametrize("position", ["0", "7", "99999999999999999999999999"])
def test_a_question_that_was_not_asked_is_not_found(as_taker, attempt, position):
    assert as_taker.get(f"/exams/{attempt.pk}/review/{position}/").status_code == 404


def test_a_question_shows_what_its_taker_thought(as_taker, attempt):
    slot = attempt.slots.get(position=2)
    struck, other = [letter for letter in slot.shown_letters if letter not in slot.key][:2]
    attempt.slots.filter(pk=slot.pk).update(
        confidence=2, struck=struck + slot.key, marks="3-9", note="Ask\n<Babbage>", letters=other
    )

    page = page_of(as_taker, f"/exams/{attempt.pk}/review/2/")

    assert "How sure you were: unsure." in page
    assert '<p class="own-note">Ask<br><Babbage></p>' in page
    assert "&lt;Babbage&gt;" in as_taker.get(f"/exams/{attempt.pk}/review/2/").content.decode()
    assert '<div class="stem" data-marks="3-9">' in page
    assert re.findall(r'<span class="tag">([^<]+)</span>', page) == [
        {slot.key: "right, you struck it out", struck: "you struck it out", other: "wrong, your choice"}[letter]
        for letter in slot.shown_letters
        if letter in slot.key + struck + other
    ]


# --- The list -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("show", "positions"),
    [
        ("missed", [3, 4, 5, 6]),
        ("wrong", [3, 4]),
        ("unanswered", [5, 6]),
        ("sure", [4]),
        ("flagged", [2, 4, 6]),
        ("all", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_each_filter_shows_its_questions_and_keeps_itself_in_the_links(as_taker, attempt, show, positions):
    page = page_of(as_taker, f"/exams/{attempt.pk}/review/?show={show}")

    assert listed(page) == positions
    assert re.findall(r'aria-current="true">(\w+)[\w, ]* \(', page) == [show.capitalize()]
    assert set(re.findall(r'/review/\d/\?([^"]*)"', page)) == {f"show={show}"}


def test_the_filters_say_how_many_each_shows(as_taker, attempt):
    page = page_of(as_taker, f"/exams/{attempt.pk}/review/")

    filters = page.partition('<ul class="filters">')[2].partition("</ul>")[0]
    assert re.findall(r">([A-Z][\w, ]+ \(\d\))</a>", filters) == [
        "Missed (4)",
        "Wrong (2)",
        "Unanswered (2)",
        "Sure, but wrong (1)",
        "Flagged (3)",
        "All (6)",
    ]


@pytest.mark.parametrize("section", [1, 2, 3])
def test_a_section_narrows_every_filter(as_taker, attempt, section):
    inside = list(attempt.slots.filter(section=section))
    missed = [slot.position for slot in inside if not slot.is_right]

    everything = page_of(as_taker, f"/exams/{attempt.pk}/review/?show=all&section={section}")
    default = page_of(as_taker, f"/exams/{attempt.pk}/review/?section={section}")

    assert listed(everything) == [slot.position for slot in inside]
    assert listed(default) == missed
    assert f'<option value="{section}" selected>{section}. Section {section}</option>' in everything
    assert f"All ({len(inside)})" in default
    assert f"Missed ({len(missed)})" in default


def test_a_row_says_what_was_chosen_what_is_right_and_how_long_it_took(as_taker, attempt):
    right, wrong, unanswered = attempt.slots.filter(position__in=[1, 4, 5])

    page = page_of(as_taker, f"/exams/{attempt.pk}/review/?show=all")

    rows = page.partition("<tbody>")[2].split("</tr>")
    found = [" ".join(re.sub(r"<[^>]+>", " ", rows[slot.position - 1]).split()) for slot in (right, wrong, unanswered)]
    results = [
        f"right {right.key} {right.key} {right.section} ({right.objective}) 35 s",
        f"wrong {wrong.letters} {wrong.key} {wrong.section} ({wrong.objective}) 2 min 20 s",
        f"unanswered \N{EN DASH} {unanswered.key} {unanswered.section} ({unanswered.objective}) 2 min 55 s",
    ]
    assert [text.partition("What should you do? ")[2] for text in found] == results
    assert ["flagged" in text for text in found] == [False, True, False]


def test_a_filter_that_fits_nothing_says_so(as_taker, taker, bank):
    attempt = make_attempt(taker)
    attempt.settle(NOW)

    page = page_of(as_taker, f"/exams/{attempt.pk}/review/?show=wrong")

    assert "No question of this exam fits this choice." in page
    assert '<a class="button secondary" href="?show=all">Show all questions</a>' in page


@pytest.mark.parametrize(
    "query",
    [
        "show=",
        "show=secret",
        "section=",
        "section=x",
        "section=-1",
        "section=1.5",
        "section=%C2%B2",
        "section=" + "9" * 4000,
    ],
)
def test_garbage_in_the_query_means_the_default(as_taker, attempt, query):
    assert listed(page_of(as_taker, f"/exams/{attempt.pk}/review/?{query}")) == [3, 4, 5, 6]
    assert links(page_of(as_taker, f"/exams/{attempt.pk}/review/3/?{query}"))["All of the review"].endswith("?show=all")


def test_a_section_that_the_guide_does_not_have_shows_nothing(as_taker, attempt):
    assert listed(page_of(as_taker, f"/exams/{attempt.pk}/review/?show=all&section=99")) == []


def test_a_query_is_never_written_into_the_page_as_it_came(as_taker, attempt):
    page = as_taker.get(f"/exams/{attempt.pk}/review/?show=<b>x&section=<b>y").content.decode()

    assert "<b>" not in page


# --- One question -------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [1, 3, 5])
def test_a_question_is_shown_as_it_was_with_the_reason_of_every_option(as_taker, attempt, position):
    slot = attempt.slots.select_related("question").get(position=position)

    page = page_of(as_taker, f"/exams/{attempt.pk}/review/{position}/")

    options = re.findall(
        r'<span class="letter">(\w)</span> <div class="body"> <div class="text">(.*?)</div> '
        r'<p class="why">(.*?)</p> </div> (?:<span class="tag">(.*?)</span> )?</li>',
        page,
    )
    tags = {(True, True): "right, your choice", (True, False): "right", (False, True): "wrong, your choice"}
    assert options == [
        (
            letter,
            f"Option {stored} of {slot.question.code}",
            f"Because of {stored}.",
            tags.get((letter == slot.key, letter == slot.letters), ""),
        )
        for letter, stored in zip("ABCD", slot.order, strict=True)
    ]
    assert f"A lighthouse ({slot.question.code}) needs a model." in page


@pytest.mark.parametrize(
    ("position", "said"),
    [
        (1, "right</span>. You chose {chosen}. The key is {key}. Time spent: 35 s.<br>"),
        (
            4,
            "wrong</span>. You chose {chosen}. The key is {key}. Time spent: 2 min 20 s. You flagged it. How sure you were: sure.<br>",
        ),
        (5, "unanswered</span>. The key is {key}. Time spent: 2 min 55 s.<br>"),
    ],
)
def test_the_result_of_a_question_is_said_in_words(as_taker, attempt, position, said):
    slot = attempt.slots.get(position=position)

    page = page_of(as_taker, f"/exams/{attempt.pk}/review/{position}/")

    assert said.format(chosen=slot.letters, key=slot.key) in page


def test_the_rule_the_place_and_the_references_follow(as_taker, attempt):
    ReferenceFactory(code="page-two", url="https://docs.cloud.google.com/two", title="Page two")
    slot = attempt.slots.select_related("revision", "question").get(position=3)
    slot.revision.content["references"] = ["page-two", "page-gone", "page-one"]
    slot.revision.save()

    page = page_of(as_taker, f"/exams/{attempt.pk}/review/3/")

    assert '<h2>The rule to take away</h2> <p class="rule">The rule.</p>' in page
    assert f"Section {slot.section}. Section {slot.section}, objective {slot.objective} · {slot.question.code}" in page
    assert re.findall(r'<a href="(https://docs[^"]+)" rel="noreferrer">([^<]+)</a>', page) == [
        ("https://docs.cloud.google.com/two", "Page two"),
        ("https://docs.cloud.google.com/one", "Page one"),
    ]


@pytest.mark.parametrize(
    ("place", "ways"),
    [
        ("1/?show=all", {"Next missed": "3/?show=all", "Next": "2/?show=all"}),
        ("4/?show=flagged", {"Previous missed": "3/", "Next missed": "5/", "Previous": "2/", "Next": "6/"}),
        ("6/?show=missed", {"Previous missed": "5/?show=missed", "Previous": "5/?show=missed"}),
        ("5/", {"Previous missed": "4/?show=all", "Next missed": "6/", "Previous": "4/", "Next": "6/?show=all"}),
    ],
)
def test_one_question_leads_to_its_neighbours_within_the_filter_and_to_the_next_missed(as_taker, attempt, place, ways):
    query = place.partition("?")[2] or "show=all"

    found = links(page_of(as_taker, f"/exams/{attempt.pk}/review/{place}"))

    base = f"/exams/{attempt.pk}/review/"
    assert found == {title: f"{base}{way.partition('?')[0]}?{query}" for title, way in ways.items()} | {
        "All of the review": f"{base}?{query}"
    }
