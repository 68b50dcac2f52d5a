"""Another certification, or another edition of one, is another file: no line of code knows which exam it is."""

import re
from collections import Counter

import pytest
import time_machine
from django.core.management.base import CommandError

from questions.models import Attempt, Guide, Question
from tests.bank_folder import (
    CODES,
    load,
    reference_data,
    write_bank,
    write_guide,
    write_question,
    write_references,
)
from tests.factories import NOW, UserFactory, finish, guide_document
from tests.pages import unisolated

pytestmark = pytest.mark.django_db

# Where "edition two" puts the questions of the made-up bank: all in its sections 1 and 2, in other proportions.
PLACES = dict(zip(CODES, [1, 1, 2, 2, 2, 2], strict=True))


def second_edition(**changes):
    """Another edition of the tiny guide: weights and sections only."""
    return {
        "code": "tiny",
        "edition": "two",
        "title": "Tiny Engineer",
        "label": "The new one",
        "exam": {"questions": 4, "minutes": 30, "target": 75},
        "sections": [
            {"code": 1, "title": "Everything new", "weight": 25},
            {"code": 2, "title": "Everything else", "weight": 75},
        ],
        **changes,
    }


@pytest.fixture
def two_editions(tmp_path):
    folder = write_bank(tmp_path / "tiny")
    write_guide(folder / "guide-two.yaml", second_edition())
    for code, section in PLACES.items():
        write_question(folder, code, guides={"two": section})
    load(folder)
    return folder


def start(client, **data) -> Attempt:
    with time_machine.travel(NOW, tick=False):
        response = client.post("/exams/start/", data)
    attempt = Attempt.objects.get()
    assert response.headers["Location"] == f"/exams/{attempt.pk}/1/"
    return attempt


def sections(attempt: Attempt) -> Counter[int]:
    return Counter(attempt.slots.values_list("section", flat=True))


# --- Another certification ----------------------------------------------------------------------


@pytest.fixture
def baker(tmp_path):
    """A guide of another certification: three sections of one, two and three questions, and more to draw from."""
    document = guide_document(sections=3, code="baker", minutes=20)
    for count, section in enumerate(document["sections"], start=1):
        section["questions"] = section["objectives"][0]["questions"] = count
    document["exam"]["questions"] = 6
    folder = tmp_path / "baker"
    folder.mkdir()
    write_guide(folder / "guide.yaml", document)
    write_references(folder, reference_data("page-one"))
    for section in (1, 2, 3):
        for number in range(1, section + 2):
            write_question(folder, f"baker-{section}.1-000{number}", topics=[f"topic-{section}-{number}"])
    return folder


def test_another_certification_is_loaded_from_its_files_and_an_exam_is_drawn_from_it(baker, as_taker, settings):
    load(baker)
    settings.GUIDE = "baker/one"

    attempt = start(as_taker)

    assert sections(attempt) == {1: 1, 2: 2, 3: 3}
    assert (attempt.asked, attempt.target, (attempt.deadline - NOW).total_seconds()) == (6, 70, 20 * 60)
    assert {code.split("-")[0] for code in attempt.slots.values_list("question__code", flat=True)} == {"baker"}


def test_two_certifications_stand_side_by_side_and_share_nothing(baker, tmp_path, as_taker):
    load(baker)
    load(write_bank(tmp_path / "tiny"))

    attempt = start(as_taker)

    assert sorted(attempt.slots.values_list("question__code", flat=True)) == CODES
    assert load(baker) == ("Bank baker: 9 unchanged.\n", "")


# --- Another edition ----------------------------------------------------------------------------


def test_an_edition_draws_by_its_own_blueprint_from_the_places_its_questions_name(two_editions, as_taker, settings):
    settings.GUIDE = "tiny/two"

    attempt = start(as_taker)

    assert sections(attempt) == {1: 1, 2: 3}
    assert (attempt.asked, attempt.target, (attempt.deadline - NOW).total_seconds()) == (4, 75, 30 * 60)
    drawn = list(attempt.slots.values_list("question__code", "section", "objective"))
    assert drawn == [(code, PLACES[code], "") for code, _, _ in drawn]


def test_the_taker_chooses_among_the_editions_and_the_sites_own_is_the_first(two_editions, as_taker, settings):
    page = unisolated(as_taker.get("/exams/start/").text)
    home = unisolated(as_taker.get("/").text)
    settings.GUIDE = "tiny/two"
    other_way_round = unisolated(as_taker.get("/exams/start/").text)

    choice = r'<input type="radio" name="edition" value="(\w+)" (checked)?>\s*([^<]+?)\s*<'
    assert re.findall(choice, page) == [("one", "checked", "one"), ("two", "", "The new one")]
    assert re.findall(r"<caption>([^<]+)</caption>", home) == ["one", "The new one"]
    assert re.findall(choice, other_way_round) == [("two", "checked", "The new one"), ("one", "", "one")]


def test_the_chosen_edition_is_drawn_and_named_afterwards(two_editions, as_taker):
    attempt = start(as_taker, edition="two")

    assert sections(attempt) == {1: 1, 2: 3}
    finish(attempt, right=2)
    report = as_taker.get(f"/exams/{attempt.pk}/report/").text
    assert "The new one" in report
    assert "Objectives in this exam" not in report  # this edition has none
    assert "<small>The new one</small>" in unisolated(as_taker.get("/").text)


def test_an_edition_that_is_not_offered_is_refused_and_writes_nothing(two_editions, as_taker):
    response = as_taker.post("/exams/start/", {"edition": "three"}, follow=True)

    assert "There is no such edition of the exam. Choose one of those below." in response.text
    assert Attempt.objects.count() == 0


def test_one_edition_leaves_nothing_to_choose(tmp_path, as_taker):
    load(write_bank(tmp_path / "tiny"))

    assert 'name="edition"' not in as_taker.get("/exams/start/").text
    assert "<caption>" not in unisolated(as_taker.get("/").text)


def test_the_home_edition_draws_as_before(two_editions, as_taker):
    attempt = start(as_taker)

    assert sections(attempt) == {1: 2, 2: 2, 3: 2}
    assert set(attempt.slots.values_list("section", "objective")) == {(1, "1.1"), (2, "2.1"), (3, "3.1")}


def test_a_question_without_a_place_in_an_edition_is_never_drawn_by_it(two_editions, as_taker, settings):
    settings.GUIDE = "tiny/two"
    write_question(two_editions, CODES[0], guides={})
    load(two_editions)

    attempt = start(as_taker)

    assert attempt.slots.get(section=1).question.code == CODES[1]


# reliability case 8
def test_an_edition_that_cannot_be_filled_is_refused_and_says_which_section_lacks_how_many(
    two_editions, as_taker, settings
):
    settings.GUIDE = "tiny/two"
    for code in CODES[2:]:
        write_question(two_editions, code, guides={"two": 1})
    load(two_editions)

    page = as_taker.post("/exams/start/", follow=True).text

    assert "The bank cannot fill this exam yet (section 2: 3 too few)." in page
    assert Attempt.objects.count() == 0


def test_an_edition_whose_sections_have_neither_counts_nor_weights_throughout_is_refused(two_editions):
    text = (two_editions / "guide-two.yaml").read_text("utf-8")
    (two_editions / "guide-two.yaml").write_text(text.replace("  weight: 25\n", ""), "utf-8")

    with pytest.raises(CommandError) as error:
        load(two_editions)

    assert str(error.value).splitlines() == [
        "guide-two.yaml:1: The file: give every section `questions`, or every section `weight`.",
        "1 problem; nothing was loaded.",
    ]


def test_a_new_edition_takes_over_as_home_and_the_questions_go_with_it(tmp_path, as_taker, settings):
    folder = write_bank(tmp_path / "tiny")
    load(folder)
    Guide.objects.get().candidates()  # this process has drawn before
    write_guide(folder / "guide.yaml", {**guide_document(), "edition": "two"})
    write_question(folder, "tiny-1.1-0001", status="retired")
    write_question(folder, "tiny-1.1-0003")
    settings.GUIDE = "tiny/two"

    load(folder)

    assert list(Guide.objects.order_by("pk").values_list("edition", "is_home")) == [("one", False), ("two", True)]
    assert set(Question.objects.values_list("guide__edition", flat=True)) == {"two"}
    attempt = start(as_taker)
    assert sorted(attempt.slots.filter(section=1).values_list("question__code", flat=True)) == [
        "tiny-1.1-0002",
        "tiny-1.1-0003",
    ]


def test_exams_of_the_former_home_edition_are_kept(two_editions):
    attempt = Attempt.objects.start(UserFactory(), Guide.objects.get(edition="one"), 1, NOW)
    before = list(attempt.slots.values_list("question", "revision", "section", "objective"))
    write_guide(two_editions / "guide.yaml", {**guide_document(), "edition": "three"})

    load(two_editions)

    attempt.refresh_from_db()
    assert attempt.guide.edition == "one"
    assert list(attempt.slots.values_list("question", "revision", "section", "objective")) == before
