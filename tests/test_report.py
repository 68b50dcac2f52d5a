import html
import re
from datetime import timedelta

import pytest

from questions.models import Attempt, User
from tests.factories import NOW, UserFactory, finish, make_attempt, make_bank
from tests.pages import unisolated

pytestmark = pytest.mark.time_machine(NOW, tick=False)

FURTHER = "not enough evidence about {} more questions would settle it"
TOO_CLOSE = "not enough evidence too close to your target for any reasonable number of questions to settle"


def page_of(client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    page = re.sub(
        r'(csrfmiddlewaretoken" value=")\w+', r"\1", unisolated(response.content.decode())
    )  # differs each time
    return html.unescape(" ".join(page.split())).replace("\N{EN DASH}", "-")


def table_of(page: str, label: str) -> list[list[str]]:
    """The cells of the table in the region with this label, without tags and without the heading."""
    rows = page.partition(f'aria-label="{label}"')[2].partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")
    cells = [re.split(r"</t[hd]>", row)[:-1] for row in rows[:-1]]
    return [[" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row] for row in cells]


def study_of(page: str) -> list[str]:
    inside = page.partition("What to study first</h2>")[2].partition("</ol>")[0]
    return [item.strip() for item in re.findall(r"<li>(.*?)</li>", inside)]


def sat(user: User, right: dict[int, int], days_ago: int = 0, **changes) -> Attempt:
    """An exam finished after half an hour with so many right answers per section and no other answers."""
    attempt = make_attempt(user, NOW - timedelta(days=days_ago), **changes)
    left = dict(right)
    for slot in attempt.slots.all():
        if left.get(slot.section, 0) > 0:
            left[slot.section] -= 1
            attempt.slots.filter(pk=slot.pk).update(letters=slot.key)
    attempt.settle(attempt.started_at + timedelta(minutes=30))
    return attempt


# --- One exam -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "target", "told"),
    [
        (0, 70, "0% right. Your target of 70%: <strong>not reached</strong>."),
        (4, 70, "67% right. Your target of 70%: <strong>not reached</strong>."),
        (4, 66, "67% right. Your target of 66%: <strong>reached</strong>."),
        (4, 67, "67% right. Your target of 67%: <strong>not reached</strong>."),  # 66.67 is below 67
        (3, 50, "50% right. Your target of 50%: <strong>reached</strong>."),
        (6, 100, "100% right. Your target of 100%: <strong>reached</strong>."),
    ],
)
def test_the_score_stands_beside_the_target_of_that_exam(as_taker, taker, bank, right, target, told):
    attempt = finish(make_attempt(taker, target=target), right, after=timedelta(minutes=52, seconds=7))

    page = page_of(as_taker, f"/exams/{attempt.pk}/report/")

    assert f'<p class="score">{right} of 6</p>' in page
    assert f"{told} Time used: 52 min 7 s." in page
    assert "Exam of 21 November 2026, 12:00 UTC" in page


def test_sections_stand_with_their_uncertainty_and_a_label(as_taker, taker, bank):
    attempt = sat(taker, {1: 2, 2: 0, 3: 1})

    page = page_of(as_taker, f"/exams/{attempt.pk}/report/")

    # Mastery: (right + 15 / 2) / (2 + 15), as half of all was right.
    assert table_of(page, "Results per section") == [
        ["1. Section 1", "2 of 2", "34%-100%", "2", "56% (33%-78%)", "weak"],
        ["2. Section 2", "0 of 2", "0%-66%", "2", "44% (22%-67%)", "weak"],
        ["3. Section 3", "1 of 2", "9%-91%", "2", "50% (27%-73%)", "weak"],
    ]
    assert study_of(page) == [
        "Section 2 (section 2): about 1.1 points",
        "Section 3 (section 3): about 1.0 points",
        "Section 1 (section 1): about 0.9 points",
    ]
    assert "Google publishes no pass mark and no section scores." in page


# With 4 of 6 right the prior is Beta(10, 5), so that two right of two give Beta(12, 5), none of two Beta(10, 7).
# P(mastery < target) was integrated numerically for both.
@pytest.mark.parametrize(
    ("target", "two_right", "none_right"),
    [
        (61, "strong", TOO_CLOSE),  # 0.19, 0.56
        (67, FURTHER.format(95), FURTHER.format(10)),  # 0.35, 0.75
        (71, TOO_CLOSE, "weak"),  # 0.49, 0.85
    ],
)
def test_a_section_is_weak_or_strong_only_when_that_is_80_percent_sure(
    as_taker, taker, bank, target, two_right, none_right
):
    attempt = sat(taker, {1: 2, 2: 2}, target=target)

    rows = table_of(page_of(as_taker, f"/exams/{attempt.pk}/report/"), "Results per section")

    assert [row[-1] for row in rows] == [two_right, two_right, none_right]


def test_the_chart_shows_what_the_table_says(as_taker, taker, bank):
    attempt = sat(taker, {1: 2, 2: 0, 3: 1}, target=60)

    page = page_of(as_taker, f"/exams/{attempt.pk}/report/")

    chart = page.partition('<div class="chart"')[2].partition("</div>")[0]
    assert re.findall(r"<p>(.*?)</p>", chart) == ["1. Section 1", "2. Section 2", "3. Section 3"]
    bars = re.findall(r'height="14" width="(\d+%)".*?class="whisker" x1="(\d+%)" x2="(\d+%)".*?cx="(\d+%)"', chart)
    assert bars == [("56%", "33%", "78%", "100%"), ("44%", "22%", "67%", "0%"), ("50%", "27%", "73%", "50%")]
    assert set(re.findall(r'class="target" x1="(\d+%)"', chart)) == {"60%"}


def test_only_objectives_that_were_asked_are_listed(as_taker, taker, bank):
    attempt = sat(taker, {1: 2, 3: 1})

    page = page_of(as_taker, f"/exams/{attempt.pk}/report/")

    assert table_of(page, "Results per objective") == [
        ["1.1 Objective 1.1", "2 of 2"],
        ["2.1 Objective 2.1", "0 of 2"],
        ["3.1 Objective 3.1", "1 of 2"],
    ]


@pytest.mark.parametrize(
    ("late", "told"),
    [
        (1, "1 answer came after the end. It is kept, but not scored."),
        (2, "2 answers came after the end. They are kept, but not scored."),
    ],
)
def test_late_answers_are_told(as_taker, taker, bank, late, told):
    attempt = finish(make_attempt(taker), right=0)
    for slot in attempt.slots.all()[:late]:
        as_taker.post(f"/exams/{attempt.pk}/{slot.position}/answer/", {"letters": slot.key, "version": 0})

    page = page_of(as_taker, f"/exams/{attempt.pk}/report/")

    assert told in page
    assert '<p class="score">0 of 6</p>' in page


def test_without_late_answers_nothing_is_said_of_them(as_taker, taker, bank):
    attempt = finish(make_attempt(taker), right=3)

    assert "after the end" not in page_of(as_taker, f"/exams/{attempt.pk}/report/")


# --- Several exams ------------------------------------------------------------------------------


def test_evidence_is_pooled_over_exams(as_taker, taker):
    make_bank(spare=2)
    sat(taker, {1: 2, 2: 2, 3: 2}, days_ago=60)  # counts half: the half-life is 60 days
    attempt = sat(taker, {})

    rows = table_of(page_of(as_taker, f"/exams/{attempt.pk}/report/"), "Results per section")

    # 1 right of 3 in each section and in all: (1 + 15 / 3) / (3 + 15)
    assert [row[:5] for row in rows] == [
        [f"{n}. Section {n}", "0 of 2", "0%-66%", "4", "33% (14%-56%)"] for n in (1, 2, 3)
    ]


def test_questions_seen_again_do_not_count(as_taker, taker, bank):
    first = sat(taker, {1: 2, 2: 1}, days_ago=1)
    again = sat(taker, {1: 2, 2: 2, 3: 2})

    before = table_of(page_of(as_taker, f"/exams/{first.pk}/report/"), "Results per section")
    after = table_of(page_of(as_taker, f"/exams/{again.pk}/report/"), "Results per section")

    assert [row[1] for row in after] == ["2 of 2", "2 of 2", "2 of 2"]
    assert [row[3] for row in after] == ["2", "2", "2"]
    assert [row[4][:3] for row in after] == [row[4][:3] for row in before]


def test_a_later_exam_does_not_change_an_older_report(as_taker, taker):
    make_bank(spare=2)
    first = sat(taker, {1: 2, 2: 1}, days_ago=1)
    before = page_of(as_taker, f"/exams/{first.pk}/report/")

    sat(taker, {3: 2})

    assert page_of(as_taker, f"/exams/{first.pk}/report/") == before


def test_what_others_answered_does_not_count(as_taker, taker):
    make_bank(spare=2)
    sat(UserFactory(), {1: 2, 2: 2, 3: 2}, days_ago=1)
    attempt = sat(taker, {1: 2, 2: 0, 3: 1})

    rows = table_of(page_of(as_taker, f"/exams/{attempt.pk}/report/"), "Results per section")

    assert [row[3:5] for row in rows] == [["2", "56% (33%-78%)"], ["2", "44% (22%-67%)"], ["2", "50% (27%-73%)"]]


# --- Progress -----------------------------------------------------------------------------------


def test_without_a_finished_exam_progress_leads_to_the_exam(as_taker, taker, bank):
    make_attempt(taker)

    page = page_of(as_taker, "/progress/")

    assert "No exam finished yet. After the first one, your scores and sections stand here." in page
    assert "<svg" not in page


def test_progress_shows_every_exam_oldest_first_and_all_of_them_together(as_taker, taker):
    make_bank(spare=2)
    sat(taker, {1: 2, 2: 2, 3: 2}, days_ago=60, target=50)
    newest = sat(taker, {})
    sat(UserFactory(), {1: 1})
    page = page_of(as_taker, "/progress/")

    assert table_of(page, "Table of past exams") == [
        ["22 Sep 2026, 12:00", "6 of 6 (100%)", "61%-100%", "50% reached", "30 min 0 s", "Report , Review"],
        ["21 Nov 2026, 12:00", "0 of 6 (0%)", "0%-39%", "70% not reached", "30 min 0 s", "Report , Review"],
    ]
    assert page.count('<circle class="point"') == 2
    report = page_of(as_taker, f"/exams/{newest.pk}/report/")
    assert table_of(page, "Results per section") == table_of(report, "Results per section")
    assert study_of(page) == study_of(report)


def test_progress_reads_the_whole_guide_of_the_newest_exam_only(as_taker, taker):
    for days_ago in (3, 2, 1):
        sat(taker, {1: 1, 2: 1}, days_ago)

    attempts = as_taker.get("/progress/").context["attempts"]

    left_out = [attempt.guide.get_deferred_fields() for attempt in attempts]
    assert left_out == [{"document", "quality"}, {"document", "quality"}, {"quality"}]
