"""From the questions to submission: the table of all questions, the confirmation, the end."""

import re
from datetime import timedelta

import pytest

from questions.models import Attempt
from tests.factories import NOW, make_attempt
from tests.test_sitting import page_of

pytestmark = pytest.mark.time_machine(NOW, tick=False)


@pytest.fixture
def attempt(bank, taker) -> Attempt:
    """Of six questions: 1 answered and flagged, 2 answered, 3 one of two and unsure, 4 seen, 5 seen and flagged, 6 not seen."""
    attempt = make_attempt(taker)
    worked = {
        1: {"letters": "A", "flagged": True, "confidence": 3, "seconds": 80},
        2: {"letters": "B", "confidence": 1, "seconds": 20},
        3: {"letters": "A", "key": "AC", "confidence": 2, "seconds": 3725},
        4: {"seconds": 5},
        5: {"flagged": True, "version": 1},
    }
    for position, values in worked.items():
        attempt.slots.filter(position=position).update(**values)
    return attempt


def rows_of(page: str) -> list[tuple[str, ...]]:
    """The cells of the table, without tags."""
    rows = page.partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")[:-1]
    cells = [re.split(r"</t[hd]>", row)[:-1] for row in rows]
    return [tuple(" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row) for row in cells]


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<th scope="row">.*?</span>(\d+)</a>', page)]


def filters_of(page: str) -> list[tuple[str, bool, str]]:
    inside = page.partition('<ul class="filters">')[2].partition("</ul>")[0]
    found = re.findall(r'<a href="([^"]*)" (aria-current="true")?>(.*?)</a>', inside)
    return [(address.replace("&amp;", "&"), bool(current), text) for address, current, text in found]


def headings_of(page: str) -> list[tuple[str, str]]:
    """Which way each column is sorted, and where its heading leads."""
    found = re.findall(r'<th scope="col" (?:aria-sort="(\w+)")?><a href="([^"]*)">', page)
    return [(direction, address.replace("&amp;", "&")) for direction, address in found]


def told_of(page: str) -> list[str]:
    """The paragraphs of the confirmation, without tags."""
    inside = page.partition("</h1>")[2].partition("<form")[0]
    paragraphs = re.findall(r"<p>(.*?)</p>", inside)
    return [" ".join(re.sub(r"<[^>]+>", "", each).split()) for each in paragraphs if "clock" not in each]


# --- All questions ------------------------------------------------------------------------------


def test_the_table_says_of_every_question_what_was_done(as_taker, attempt):
    page = page_of(as_taker.get(f"/exams/{attempt.pk}/finish/"))

    assert rows_of(page) == [
        ("Question 1", "answered", "⚑ flagged", "sure", "1 min 20 s"),
        ("Question 2", "answered", "", "guess", "20 s"),
        ("Question 3", "one of two", "", "unsure", "1 h 2 min"),
        ("Question 4", "not answered", "", "", "5 s"),
        ("Question 5", "not answered", "⚑ flagged", "", "0 s"),
        ("Question 6", "not seen", "", "", "0 s"),
    ]
    assert f'<a href="/exams/{attempt.pk}/4/"><span class="visually-hidden">Question </span>4</a>' in page
    assert f'href="/exams/{attempt.pk}/submit/">Submit exam</a>' in page


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        ("all", [1, 2, 3, 4, 5, 6]),
        ("unanswered", [4, 5, 6]),
        ("incomplete", [3]),
        ("flagged", [1, 5]),
        ("unsure", [2, 3]),
        ("wrong", [1, 2, 3, 4, 5, 6]),  # there is no such choice here
        ("", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_filters_show_what_they_count(as_taker, attempt, show, expected):
    page = page_of(as_taker.get(f"/exams/{attempt.pk}/finish/?show={show}"))

    assert numbers(page) == expected
    assert next(text for _, current, text in filters_of(page) if current).endswith(f"({len(expected)})")


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("number", [1, 2, 3, 4, 5, 6]),
        ("-number", [6, 5, 4, 3, 2, 1]),
        ("state", [6, 4, 5, 3, 1, 2]),
        ("-state", [1, 2, 3, 4, 5, 6]),
        ("flag", [1, 5, 2, 3, 4, 6]),
        ("-flag", [2, 3, 4, 6, 1, 5]),
        ("sure", [4, 5, 6, 2, 3, 1]),
        ("-sure", [1, 3, 2, 4, 5, 6]),
        ("time", [5, 6, 4, 2, 1, 3]),
        ("-time", [3, 1, 2, 4, 5, 6]),
        ("key", [1, 2, 3, 4, 5, 6]),  # there is no such column
        ("--time", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_column_sorts_either_way_and_equal_ones_stay_in_order(as_taker, attempt, sort, expected):
    assert numbers(page_of(as_taker.get(f"/exams/{attempt.pk}/finish/?sort={sort}"))) == expected


def test_filters_and_headings_keep_each_others_state(as_taker, attempt):
    page = page_of(as_taker.get(f"/exams/{attempt.pk}/finish/?show=flagged&sort=-time"))

    assert filters_of(page) == [
        ("?show=all&sort=-time", False, "All (6)"),
        ("?show=unanswered&sort=-time", False, "Unanswered (3)"),
        ("?show=incomplete&sort=-time", False, "One of two (1)"),
        ("?show=flagged&sort=-time", True, "Flagged (2)"),
        ("?show=unsure&sort=-time", False, "Unsure (2)"),
    ]
    assert headings_of(page) == [
        ("", "?show=flagged&sort=number"),
        ("", "?show=flagged&sort=state"),
        ("", "?show=flagged&sort=flag"),
        ("", "?show=flagged&sort=sure"),
        ("descending", "?show=flagged&sort=time"),
    ]


def test_the_heading_of_the_sorted_column_turns_it_round(as_taker, attempt):
    page = page_of(as_taker.get(f"/exams/{attempt.pk}/finish/?sort=state"))

    assert headings_of(page)[1] == ("ascending", "?show=all&sort=-state")


def test_a_choice_that_nothing_fits_says_so(as_taker, attempt):
    attempt.slots.update(flagged=False)

    page = page_of(as_taker.get(f"/exams/{attempt.pk}/finish/?show=flagged"))

    assert rows_of(page) == [("No question of this exam fits this choice.",)]


# --- The confirmation ---------------------------------------------------------------------------


def test_the_confirmation_names_what_is_open_and_ends_nothing(as_taker, attempt):
    page = page_of(as_taker.get(f"/exams/{attempt.pk}/submit/"))

    assert told_of(page) == [
        "Not answered: 4, 5, 6. They count as wrong; guesses cost nothing.",
        "One option chosen where two are asked for: 3. It counts as wrong, too.",
        "Flagged: 1, 5.",
        "After submitting you cannot change answers.",
    ]
    assert re.findall(rf'href="/exams/{attempt.pk}/(\d)/">(\w[\w ]*)</a>', page) == [
        *[(number, number) for number in "456315"],
        ("4", "Back to the questions"),
    ]
    assert (
        f'<form id="submit-form" method="post" action="/exams/{attempt.pk}/submit/" data-attempt="{attempt.pk}">'
        in page
    )
    assert not Attempt.objects.get().is_finished


def test_the_confirmation_of_a_complete_exam_says_that_it_is_complete(as_taker, attempt):
    attempt.slots.update(letters="A", key="B", flagged=False)

    page = page_of(as_taker.get(f"/exams/{attempt.pk}/submit/"))

    assert told_of(page) == ["Every question is answered.", "After submitting you cannot change answers."]


def test_one_open_question_is_told_as_one(as_taker, attempt):
    attempt.slots.exclude(position=6).update(letters="A", key="B", flagged=False)

    page = page_of(as_taker.get(f"/exams/{attempt.pk}/submit/"))

    assert told_of(page)[0] == "Not answered: 6. It counts as wrong; a guess costs nothing."


@pytest.mark.parametrize("page", ["finish/", "submit/"])
def test_the_clock_stays_on_both_pages(as_taker, attempt, time_machine, page):
    time_machine.move_to(NOW + timedelta(minutes=20, seconds=30), tick=False)

    deadline = int(NOW.timestamp() + 3600) * 1000
    assert re.search(rf'data-deadline="{deadline}">39:30</span>', page_of(as_taker.get(f"/exams/{attempt.pk}/{page}")))


# --- The end ------------------------------------------------------------------------------------


def test_a_second_submission_changes_nothing(as_taker, attempt, time_machine):
    attempt.slots.exclude(position=1).update(letters="")
    attempt.slots.filter(position=1).update(letters=attempt.slots.get(position=1).key)
    time_machine.move_to(NOW.replace(minute=10), tick=False)
    first = as_taker.post(f"/exams/{attempt.pk}/submit/")
    stored = Attempt.objects.values().get()

    time_machine.move_to(NOW.replace(minute=20), tick=False)
    second = as_taker.post(f"/exams/{attempt.pk}/submit/")

    assert first.url == second.url == f"/exams/{attempt.pk}/report/"
    assert (stored["right"], stored["finished_at"]) == (1, NOW.replace(minute=10))
    assert Attempt.objects.values().get() == stored


@pytest.mark.parametrize("page", ["1/", "6/", "finish/", "submit/"])
def test_after_submission_the_exam_leads_to_its_report(as_taker, attempt, page):
    as_taker.post(f"/exams/{attempt.pk}/submit/")

    assert as_taker.get(f"/exams/{attempt.pk}/{page}").url == f"/exams/{attempt.pk}/report/"
