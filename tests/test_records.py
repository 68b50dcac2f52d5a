import copy
from datetime import date, datetime

import pytest

from questions.draw import Cell
from questions.records import GuideRecord, Problem, QuestionRecord, ReferenceRecord, check_question, check_record
from tests.factories import guide_document, question_data

GUIDE = GuideRecord.model_validate(guide_document())


def options(count: int = 4, keys: tuple[int, ...] = (2,), **changes: object) -> list[dict]:
    """Sound options; `o1={...}` changes fields of the one numbered 1, a field set to ... goes."""
    made = [
        {"text": f"Option {n}", **({"key": True} if n in keys else {}), "why": f"Because of {n}."} for n in range(count)
    ]
    for name, change in changes.items():
        made[int(name[1:])].update(change)
    return [{field: value for field, value in option.items() if value is not ...} for option in made]


def problems(data: object) -> list[tuple[tuple, str]]:
    record, found = check_question(data, GUIDE, ["page-one", "page-two"])
    assert (record is None) == bool(found)
    return [(problem.path, problem.message) for problem in found]


# --- Questions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        # The shape
        ({"colour": "red"}, ("colour",), "`colour` is not a field here. Remove it or correct its spelling."),
        ({"options": options(o1={"wyh": "x"})}, ("options", 1, "wyh"), "`wyh` is not a field here."),
        ({"explanation": ...}, ("explanation",), "`explanation` is missing. Add it."),
        ({"options": options(o1={"why": ...})}, ("options", 1, "why"), "`why` is missing. Add it."),
        ({"options": options(o3={"text": ...})}, ("options", 3, "text"), "`text` is missing. Add it."),
        ({"stem": ""}, ("stem",), "`stem` is empty. Fill it in."),
        ({"stem": " \n\t\n"}, ("stem",), "`stem` is empty. Fill it in."),
        ({"options": options(o1={"why": " "})}, ("options", 1, "why"), "`why` is empty. Fill it in."),
        ({"stem": "x" * 20_001}, ("stem",), "`stem` is too long. Keep it under 20000 characters."),
        ({"sector": "x" * 201}, ("sector",), "`sector` is too long. Keep it under 200 characters."),
        ({"stem": "one\x00two"}, ("stem",), "`stem`: contains a control character; delete it."),
        ({"stem": "one\rtwo"}, ("stem",), "`stem`: contains a control character; delete it."),
        ({"decisive": "one\x1b[31m"}, ("decisive",), "`decisive`: contains a control character; delete it."),
        ({"author": "one\ud800"}, ("author",), "`author`: contains a control character; delete it."),
        ({"options": options(o0={"text": "a\x7f"})}, ("options", 0, "text"), "`text`: contains a control character"),
        ({"explanation": "one\n\ntwo"}, ("explanation",), "`explanation`: must be one paragraph; join the lines."),
        ({"explanation": "one\u2028two"}, ("explanation",), "`explanation`: must be one paragraph; join the lines."),
        ({"stem": 5}, ("stem",), "`stem` must be text. Put it in quotes."),
        ({"objective": 1.1}, ("objective",), "`objective` must be text. Put it in quotes."),
        ({"explanation": None}, ("explanation",), "`explanation` must be text. Put it in quotes."),
        ({"guides": {2026: 1}}, ("guides", 2026, "[key]"), "`guides` must be text. Put it in quotes."),
        ({"guides": {"seed": "x"}}, ("guides", "seed"), "`seed` must be a whole number."),
        ({"section": "1"}, ("section",), "`section` must be a whole number."),
        ({"section": True}, ("section",), "`section` must be a whole number."),
        ({"difficulty": 2.0}, ("difficulty",), "`difficulty` must be a whole number."),
        ({"difficulty": 0}, ("difficulty",), "`difficulty` must be 1 or more."),
        ({"difficulty": 4}, ("difficulty",), "`difficulty` must be 3 or less."),
        ({"topics": "topic-1-0"}, ("topics",), "`topics` must be a list."),
        ({"topics": []}, ("topics",), "`topics` needs at least 1 entry."),
        ({"topics": [f"topic-1-{n}" for n in range(4)]}, ("topics",), "`topics` has more than 3 entries."),
        ({"references": []}, ("references",), "`references` needs at least 1 entry."),
        ({"guides": []}, ("guides",), "`guides` must be a mapping of names to values."),
        ({"options": [*options()[:3], "text"]}, ("options", 3), "`options` must be a mapping of fields."),
        ({"options": options(o1={"key": False})}, ("options", 1, "key"), "`key` must be True."),
        ({"level": "guess"}, ("level",), "`level` must be 'recall', 'apply', 'analyze' or 'evaluate'."),
        ({"moment": "later"}, ("moment",), "`moment` must be 'design', 'operating', "),
        ({"status": "live"}, ("status",), "`status` must be 'draft', 'reviewed', 'published' or 'retired'."),
        ({"type": "matching"}, ("type",), "`type` must be 'single' or 'multiple'."),
        ({"choose": 3}, ("choose",), "`choose` must be 1 or 2."),
        ({"traits": ["sql", "cool"]}, ("traits", 1), "`traits` must be 'python', "),
        ({"history": [{"date": "soon", "note": "x"}]}, ("history", 0, "date"), "must be a date such as 2026-01-31."),
        ({"history": [{"date": datetime(2026, 1, 31, 1), "note": "x"}]}, ("history", 0, "date"), "must be a date"),
        ({"id": "tiny-1.1-0001\n"}, ("id",), "`id` has the wrong form: use lower-case letters, digits, dots and "),
        ({"id": "../tiny-1.1-0001"}, ("id",), "`id` has the wrong form"),
        # The guide and the ledger
        ({"id": "tiny-1.2-0001"}, ("id",), "The id must be tiny-1.1- and four digits."),
        ({"id": "tiny-1.1-01"}, ("id",), "The id must be tiny-1.1- and four digits."),
        ({"id": "other-1.1-0001"}, ("id",), "The id must be tiny-1.1- and four digits."),
        ({"id": "tiny-1x1-0001"}, ("id",), "The id must be tiny-1.1- and four digits."),
        ({"objective": "9.9", "id": "tiny-9.9-0001"}, ("objective",), "Objective 9.9 is not in the guide. Use one of"),
        ({"section": 2, "topics": ["topic-2-0"]}, ("section",), "Objective 1.1 belongs to section 1, not 2."),
        ({"topics": ["topic-1-0", "other"]}, ("topics", 1), "Topic other is not in the guide. Use a topic id"),
        ({"topics": ["topic-2-0"]}, ("topics", 0), "The primary topic topic-2-0 belongs to section 2. Put a topic of"),
        ({"topics": ["topic-1-0"] * 2}, ("topics", 1), "Topic topic-1-0 is named twice. Remove one."),
        ({"references": ["page-one", "x"]}, ("references", 1), "Reference x is not in the ledger. Add it to"),
        ({"references": ["page-one"] * 2}, ("references", 1), "Reference page-one is named twice. Remove one."),
        # The options
        ({"choose": 2}, ("choose",), "A single-choice question has `choose: 1`."),
        ({"options": options(3)}, ("options",), "A single-choice question has 4 options; here are 3."),
        ({"options": options(5)}, ("options",), "A single-choice question has 4 options; here are 5."),
        ({"options": options(keys=())}, ("options",), "Mark exactly 1 option as key; here are 0."),
        ({"options": options(keys=(0, 2))}, ("options",), "Mark exactly 1 option as key; here are 2."),
        ({"options": options(o2={"flip": "a -> b"})}, ("options", 2, "flip"), "A key has no `flip`. Remove it."),
        ({"options": options(o3={"text": "Option 1"})}, ("options", 3, "text"), "This option says the same as another"),
        ({"options": options(o3={"text": "`OPTION` 1."})}, ("options", 3, "text"), "This option says the same as"),
    ],
)
def test_a_bad_question_is_refused_with_the_place_and_what_to_do(changes, path, message):
    data = {field: value for field, value in question_data(**changes).items() if value is not ...}

    found = problems(data)

    assert [place for place, _ in found] == [path]
    assert message in found[0][1]


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"choose": 1, "options": options(5, keys=(0, 3))}, ["A multiple-choice question has `choose: 2`."]),
        ({"options": options(4, keys=(0, 3))}, ["A multiple-choice question has 5 options; here are 4."]),
        ({"options": options(5, keys=(4,))}, ["Mark exactly 2 options as key; here is 1."]),
        ({"options": options(5, keys=(0, 1, 2))}, ["Mark exactly 2 options as key; here are 3."]),
        ({"options": options(5, keys=(0, 3))}, []),
    ],
)
def test_a_question_with_two_keys_has_five_options(changes, messages):
    found = problems(question_data(**{"type": "multiple", "choose": 2, **changes}))

    assert [message for _, message in found] == messages


@pytest.mark.parametrize("data", [None, "text", 5, [], [question_data()]], ids=repr)
def test_what_is_no_mapping_is_no_question(data):
    assert problems(data) == [((), "The file must be a mapping of fields.")]


def test_all_problems_are_found_in_one_pass():
    wrong_shape = question_data(colour="red", stem="", level="guess", options=options(o0={"why": ...}))
    wrong_place = question_data(section=2, references=["x"], choose=2, options=options(3, o0={"text": "Option 1"}))

    assert {path for path, _ in problems(wrong_shape)} == {("colour",), ("stem",), ("level",), ("options", 0, "why")}
    assert [path for path, _ in problems(wrong_place)] == [
        ("section",),
        ("topics", 0),
        ("references", 0),
        ("choose",),
        ("options",),
        ("options", 1, "text"),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [("C++", "C#"), ("x < 5", "x > 5"), ("-1", "1"), ("1.5", "15"), ("SELECT *", "SELECT"), ("-", "+")],
)
def test_options_that_differ_in_a_sign_that_matters_are_different(one, other):
    assert problems(question_data(options=options(o0={"text": one}, o1={"text": other}))) == []


def test_a_sound_question_is_kept_field_by_field_with_its_texts_trimmed():
    data = question_data(
        stem="\n One line \n\n    code\t\nlast\n\n",
        topics=["topic-1-3", "topic-2-0"],
        options=options(o1={"flip": " a -> b "}),
        history=[{"date": date(2026, 11, 21), "note": "First."}],
    )

    record, found = check_question(data, GUIDE, ["page-one"])

    assert found == []
    assert record == QuestionRecord.model_validate(
        {**data, "stem": "One line\n\n    code\nlast", "options": options(o1={"flip": "a -> b"})}
    )


# --- References ---------------------------------------------------------------------------------

REFERENCE = {
    "id": "page-one",
    "url": "https://docs.cloud.google.com/one",
    "title": "Page one",
    "checked": date(2026, 11, 21),
    "seen": "page",
    "facts": "It says so.",
}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"url": "http://example.org"}, "`url` has the wrong form: use an https address without parameters."),
        ({"url": "https://example.org/?a=1"}, "`url` has the wrong form: use an https address without parameters."),
        ({"url": "javascript:alert(1)"}, "`url` has the wrong form: use an https address without parameters."),
        ({"id": "Page One"}, "`id` has the wrong form: use lower-case letters, digits, dots and dashes."),
        ({"seen": "hearsay"}, "`seen` must be 'page' or 'excerpt'."),
    ],
)
def test_a_reference_is_a_page_with_a_plain_https_address(changes, problem):
    _, found = check_record(ReferenceRecord, {**REFERENCE, **changes})

    assert found == ([Problem((next(iter(changes)),), problem)] if problem else [])


# --- Guides -------------------------------------------------------------------------------------


def guide(questions: int, *sections: dict) -> dict:
    """A guide of numbered sections; `objectives` may be given as their counts, None for one without."""
    made = []
    for code, section in enumerate(sections, 1):
        objectives = [
            {"code": f"{code}.{n}", "title": "Some objective", **({} if count is None else {"questions": count})}
            for n, count in enumerate(section.get("objectives", []), 1)
        ]
        made.append({"code": code, "title": "Some section", **section, "objectives": objectives})
    exam = {"questions": questions, "minutes": 60, "target": 70}
    return {"code": "tiny", "edition": "one", "title": "Tiny Engineer", "exam": exam, "sections": made}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (guide(5, {"questions": 2}, {"questions": 2}), "make the sections' `questions` add up to 5"),
        (guide(5, {"questions": 5}, {"weight": 2}), "give every section `questions`, or every section `weight`"),
        (guide(5, {"questions": 5}, {}), "give every section `questions`, or every section `weight`"),
        (guide(5, {"questions": 5, "weight": 5}), "give every section `questions`, or every section `weight`"),
        (guide(5, {"weight": 0}, {"weight": 0}), "weights must be >= 0, one of them > 0"),
        (guide(5, {"questions": 5, "objectives": [2, 2]}), "section 1: make the objectives' `questions` add up to 5"),
        (guide(5, {"questions": 5, "objectives": [5, None]}), "section 1: make the objectives' `questions` add up to"),
        (guide(4, {"weight": 3, "objectives": [2, 2]}, {"weight": 1}), "section 1: make the objectives' `questions`"),
    ],
)
def test_counts_that_do_not_add_up_are_refused(document, message):
    record, found = check_record(GuideRecord, document)

    assert record is None
    assert [problem.path for problem in found] == [()]
    assert message in found[0].message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sections: sections[1].update(code=1), "section 1 is there twice; rename or delete one"),
        (
            lambda sections: sections[1]["objectives"][0].update(code="1.1"),
            "objective 1.1 is there twice; rename or delete one",
        ),
        (
            lambda sections: sections[1]["objectives"][0]["topics"][3].update(id="topic-1-0"),
            "topic topic-1-0 is there twice; rename or delete one",
        ),
    ],
)
def test_a_code_that_is_there_twice_is_refused(change, message):
    document = copy.deepcopy(guide_document())
    change(document["sections"])

    _, found = check_record(GuideRecord, document)

    assert found == [Problem((), f"The file: {message}.")]


@pytest.mark.parametrize(
    ("document", "counts", "cells"),
    [
        (guide(5, {"questions": 3}, {"questions": 2}), {1: 3, 2: 2}, [Cell(1, "", 3), Cell(2, "", 2)]),
        (
            guide(5, {"questions": 3, "objectives": [2, 0, 1]}, {"questions": 2, "objectives": [None, None]}),
            {1: 3, 2: 2},
            [Cell(1, "1.1", 2), Cell(1, "1.2", 0), Cell(1, "1.3", 1), Cell(2, "", 2)],
        ),
        (
            guide(10, {"weight": 33}, {"weight": 33}, {"weight": 34}),
            {1: 3, 2: 3, 3: 4},
            [Cell(1, "", 3), Cell(2, "", 3), Cell(3, "", 4)],
        ),
        (
            guide(4, {"weight": 3, "objectives": [1, 2]}, {"weight": 1}),
            {1: 3, 2: 1},
            [Cell(1, "1.1", 1), Cell(1, "1.2", 2), Cell(2, "", 1)],
        ),
    ],
)
def test_a_blueprint_counts_by_objective_where_the_guide_does_and_by_section_elsewhere(document, counts, cells):
    record, found = check_record(GuideRecord, document)

    assert found == []
    assert record.section_counts() == counts
    assert record.cells() == cells
    assert sum(cell.questions for cell in record.cells()) == record.exam.questions


def test_a_guide_knows_the_section_of_each_objective_and_topic():
    assert GUIDE.objective_sections() == {"1.1": 1, "1.2": 1, "2.1": 2, "2.2": 2, "3.1": 3, "3.2": 3}
    assert GUIDE.topic_sections() == {f"topic-{section}-{n}": section for section in (1, 2, 3) for n in range(12)}
