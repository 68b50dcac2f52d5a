"""What lint finds: each rule on a question that is sound but for one flaw."""

from datetime import date, timedelta
from typing import Any

import pytest

from questions import lint, wording
from questions.records import HistoryRecord, PolicyRecord, QuestionRecord, ReferenceRecord
from tests.bank_folder import reference_data
from tests.factories import question_data

TODAY = date(2026, 11, 25)
POLICY = PolicyRecord.model_validate(
    {
        "hosts": ["docs.cloud.google.com"],
        "products": [
            {"name": "Agent Platform", "former": ["Vertex AI", "AI Platform"]},
            {"name": "Agent Platform Pipelines", "former": ["Vertex AI Pipelines"]},
            {"name": "Dataflow"},
        ],
        "not_decisive": [{"phrase": "night tariff", "why": "it ends this year"}],
    }
)
STEM = """\
A bakery chain plans its deliveries for 40 shops each night. The orders of three years stand in one table of the warehouse, and two people who write
SQL look after it. Managers want the number of loaves for each shop by five in the morning, and they change it by hand
when a street is closed. You need to give them the numbers. What should you do?"""
TEXTS = [
    "Train a model on the orders of each shop, and write its numbers to a table.",
    "Count the orders of the same day in past weeks, and show the middle number.",
    "Ask the managers for their own orders in the evening, and add up the bread.",
    "Send the orders to another company each night, and load the numbers it returns.",
]
WHYS = [
    "The table already holds what a model needs, and the people who look after it can run it before five each morning.",
    "A count of past weeks is simple, but it does not follow a change in how a shop sells, which the managers asked for.",
    "Managers are busy in the evening, so their numbers would come late or not at all, and nobody could plan a delivery.",
    "Another company would need the data and a contract, while two people here can do the work with what they have now.",
]
EXPLANATION = (
    "Choose the smallest design that the people who will look after it can run, and that delivers by the hour at which "
    "somebody acts on it; anything larger has to earn its place."
)


def item(stem: str = STEM, texts: list[str] | None = None, key: int = 0, **changes: Any) -> QuestionRecord:
    """A question in which lint finds nothing, but for what the changes bring in."""
    texts = texts or TEXTS
    options: list[dict[str, Any]] = [{"text": text, "why": why} for text, why in zip(texts, WHYS, strict=True)]
    options[key]["key"] = True
    fields = {"stem": stem, "options": options, "explanation": EXPLANATION, "references": ["page-one"], **changes}
    return QuestionRecord.model_validate(question_data(**fields))


def bank(**changes: Any) -> lint.Bank:
    record = ReferenceRecord.model_validate(reference_data(**changes))
    return lint.Bank(POLICY, {record.id: record}, TODAY)


def found(question: QuestionRecord, **reference: Any) -> list[tuple[str, str]]:
    return [(finding.rule, finding.severity) for finding in lint.lint(question, bank(**reference))]


def with_text(place: int, text: str) -> list[str]:
    return [text if number == place else each for number, each in enumerate(TEXTS)]


def test_a_sound_question_has_no_finding():
    assert lint.lint(item(), bank()) == []


def test_a_finding_says_what_is_wrong_and_how_to_mend_it():
    finding = lint.lint(item(STEM.replace("What should you do?", "Which is not right?")), bank())

    assert [str(each) for each in finding] == ['L05 error: The question has "not". Ask for what is right.']


# --- Length ---------------------------------------------------------------------------------------

LONG = TEXTS[0].replace("a table", "a table that the managers read")
SHORT = "Train one model, and write its numbers to a table."
UNEVEN = TEXTS[3].replace("another company", "another company that plans for many bakeries in the towns around")


@pytest.mark.parametrize(
    ("texts", "key", "findings"),
    [
        (with_text(0, LONG), 0, [("L02", "error")]),
        (with_text(0, LONG), 1, []),  # a long distractor tells nothing
        (with_text(0, SHORT), 0, [("L02", "error")]),
        (with_text(0, SHORT), 1, []),
        (with_text(3, UNEVEN), 1, [("L03", "warning")]),
        (with_text(3, f"{UNEVEN} {TEXTS[3]}"), 1, [("L03", "error")]),
    ],
    ids=["long key", "long distractor", "short key", "short distractor", "uneven", "very uneven"],
)
def test_options_are_of_one_length(texts, key, findings):
    assert found(item(texts=texts, key=key)) == findings


def test_options_of_four_words_or_fewer_are_not_compared_in_length():
    question = item(texts=["Precision.", "Recall of the class.", "Specificity.", "Log loss over classes."], key=2)

    assert found(question) == [("L12", "warning")]  # that they are short is told once


def test_code_and_numbers_do_not_count_as_length():
    assert wording.length("Set `alpha=0.125` to **1,250** rows.") == len("Set to , rows.")


# --- What names a letter, a place, or all at once -------------------------------------------------


@pytest.mark.parametrize(
    "phrase",
    [
        "all of the above",
        "None of the options",
        "both A and B",
        "as in option C",
        "the first option",
        "the options above",
    ],
)
def test_no_text_names_a_letter_or_a_place(phrase):
    assert found(item(explanation=f"{EXPLANATION} This holds for {phrase} too.")) == [("L04", "error")]


@pytest.mark.parametrize("phrase", ["above 5% of the rows", "below 40 degrees", "the first exam", "grade A flour"])
def test_a_number_above_or_below_is_not_a_place(phrase):
    assert found(item(explanation=f"{EXPLANATION} This holds for {phrase} too.")) == []


# --- The question ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "findings"),
    [
        ("Which design is not right?", [("L05", "error")]),
        ("What should you do except this?", [("L05", "error")]),
        ("Which design needs at least one table?", []),
        ("Which design costs least?", [("L05", "error")]),
        ("You should use a", [("L09", "error"), ("L13", "error")]),
        ("The design should be:", [("L09", "error"), ("L13", "error")]),
        ("Say what you would do.", [("L13", "error")]),
        ("Which two designs fit? (Choose two.)", [("L13", "error")]),  # but one is to be chosen
    ],
)
def test_the_question_is_whole_and_positive(question, findings):
    assert found(item(STEM.replace("What should you do?", question))) == findings


def test_a_choose_two_question_says_so():
    data = question_data(
        type="multiple",
        choose=2,
        stem=STEM,
        explanation=EXPLANATION,
        options=[
            {"text": text, "why": why, **({"key": True} if number < 2 else {})}
            for number, (text, why) in enumerate(
                [
                    *zip(TEXTS, WHYS, strict=True),
                    ("Print the week before for the towns, and let drivers find out what is needed.", EXPLANATION),
                ]
            )
        ],
    )

    assert found(QuestionRecord.model_validate(data)) == [("L13", "error")]
    data["stem"] += " (Choose two.)"
    assert found(QuestionRecord.model_validate(data)) == []


# --- Words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It must never fail.", {"must", "never"}),
        ("Only some may pass in May.", {"only", "may"}),
        ("Run it every 15 minutes on all rows.", set()),
        ("Check all the shops every night.", set()),
        ("Leave `all` alone.", set()),
    ],
)
def test_absolutes_are_words_that_make_a_reader_doubt(text, words):
    assert wording.absolutes(text) == words


@pytest.mark.parametrize(("key", "side"), [(1, "the key alone"), (0, "distractors alone")])
def test_an_absolute_is_told_with_its_side(key, side):
    texts = with_text(1, TEXTS[1].replace("show the", "always show the"))

    assert [str(finding) for finding in lint.lint(item(texts=texts, key=key), bank())] == [
        f'L06 warning: "always" in {side}. Say it without.'
    ]


@pytest.mark.parametrize(
    ("changed", "findings"),
    [
        ([0], [("L07", "warning")]),  # the key alone takes the word up
        ([1, 2, 3], [("L07", "warning")]),  # every distractor does, and not the key
        ([1], []),  # one distractor does: that sends nobody to the key
        ([0, 1], []),
    ],
)
def test_a_rare_word_of_the_stem_does_not_mark_the_key(changed, findings):
    stem = STEM.replace("a street is closed", "a sourdough starter fails")
    texts = [text.replace("orders", "sourdoughs") if n in changed else text for n, text in enumerate(TEXTS)]

    assert found(item(stem, texts)) == findings


def test_candidates_that_are_named_in_parallel_mark_nobody():
    stem = STEM.replace("a street is closed", "sourdough or ciabatta runs out")
    texts = [TEXTS[0].replace("orders", "sourdough"), *[text.replace("orders", "ciabatta") for text in TEXTS[1:]]]

    assert found(item(stem, texts)) == []


def test_a_products_name_is_no_rare_word():
    stem = STEM.replace("a street is closed", "Dataflow is down")

    assert found(item(stem, with_text(0, TEXTS[0].replace("a model", "Dataflow")))) == []


def test_the_key_alone_does_not_share_phrases_with_two_options():
    texts = with_text(1, "Count the orders of each shop in past weeks, and show the middle number.")
    texts[2] = "Ask the managers for their own view, and write its numbers on a large board."

    assert found(item(texts=texts)) == [("L08", "warning")]
    assert found(item(texts=texts, key=3)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Training a model on the orders of each shop, writing to a table.",
        "The orders of each shop in a model, and its numbers in a table.",
    ],
)
def test_options_begin_in_one_way(text):
    assert found(item(texts=with_text(0, text))) == [("L09", "warning")]


def test_options_end_in_one_way():
    assert found(item(texts=with_text(0, TEXTS[0].rstrip(".")))) == [("L09", "warning")]


def test_options_that_nearly_say_the_same_are_a_near_miss_on_purpose():
    texts = with_text(1, TEXTS[0] + " Now.")

    assert found(item(texts=texts)) == [("L10", "warning")]
    assert found(item(texts=texts, traits=["near-miss"])) == []


# --- Size, rationales -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sentences", "findings"), [(0, [("L12", "error")]), (1, []), (10, [("L12", "error")]), (9, [])], ids=str
)
def test_a_stem_has_35_to_130_words(sentences, findings):
    """34, 44, 134 and 124 words: ten in each sentence but the question."""
    head = "You plan for a bakery with shops in three towns. " * 3
    stem = head + "The shops of this town sell bread in the morning. " * sentences + "What should you do?"

    assert found(item(stem)) == findings


def test_numbers_do_not_count_as_words():
    table = "\n\n| | 2024 | 2025 |\n|---|---|---|\n" + "| shop | 1200 | 1300 |\n" * 40 + "\n\nWhat should you do?"

    assert found(item(STEM.replace(" What should you do?", table))) == []


def test_stem_and_options_together_have_up_to_240_words():
    stem = "The shops of this town sell bread in the morning. " * 12 + "What should you do?"
    texts = [f"{text} {text} {text[:-1]} too." for text in TEXTS]

    assert found(item(stem, texts)) == [("L12", "warning")] * 2


def test_rationales_are_neither_thin_nor_alike():
    options = [{"text": text, "why": WHYS[0], **({} if n else {"key": True})} for n, text in enumerate(TEXTS)]
    options[3]["why"] = "It is too slow."

    findings = lint.lint(item(options=options), bank())

    assert [(f.rule, f.severity) for f in findings] == [("L14", "warning")] * 4
    assert findings[0].message.endswith("has 4 words; use 15 to 70.")
    assert all(f.message.endswith("are nearly alike.") for f in findings[1:])


def test_an_explanation_has_25_to_80_words():
    assert found(item(explanation="Keep it small.")) == [("L14", "warning")]


# --- References, names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "findings"),
    [
        ({}, []),
        ({"url": "https://blog.example/post"}, [("L15", "error")]),
        ({"url": "https://docs.cloud.google.com/intl/ja/page"}, [("L15", "error")]),
        ({"url": "https://docs.cloud.google.com/page#hl=de"}, [("L15", "error")]),
        ({"checked": TODAY - timedelta(days=180)}, []),
        ({"checked": TODAY - timedelta(days=181)}, [("L15", "warning")]),
    ],
)
def test_references_are_official_plain_and_fresh(reference, findings):
    assert found(item(), **reference) == findings


@pytest.mark.parametrize(
    ("sentence", "findings"),
    [
        ("They use Agent Platform.", []),
        ("They use Agent Platform (formerly Vertex AI).", []),
        ("They use Vertex AI.", [("L16", "error")]),
        ("They use Agent Platform Pipelines, not `Vertex AI` code.", []),
    ],
)
def test_former_names_stand_in_parentheses(sentence, findings):
    assert found(item(STEM.replace("You need", f"{sentence} You need"))) == findings


def test_what_is_about_to_go_is_no_key():
    texts = with_text(2, TEXTS[2].replace("managers", "night tariff"))

    assert found(item(texts=texts, key=2)) == [("L16", "error")]
    assert found(item(texts=texts)) == []


# --- Code, numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "code", "findings"),
    [
        ("python", "x = [1, 2]", []),
        ("python", "x = [1, 2", [("L17", "error")]),
        ("python", "x = 1\n" * 26, [("L17", "error")]),
        ("", "x = 1", [("L17", "error")]),
        ("sql", "SELECT * EXCEPT (a) FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY b ORDER BY c) = 1", []),
        ("sql", "SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.t)", []),
        ("sql", "SELECT FROM WHERE", [("L17", "error")]),
        ("json", '{"a": 1}', []),
        ("json", "{a: 1}", [("L17", "error")]),
        ("text", "loss 0.3 ((", []),
    ],
)
def test_code_names_its_language_is_short_and_parses(language, code, findings):
    block = f"\n\n```{language}\n{code}\n```\n\nWhat should you do?"

    assert found(item(STEM.replace(" What should you do?", block))) == findings


@pytest.mark.parametrize(
    ("ranges", "findings"),
    [
        (["1 to 10", "11 to 20", "21 to 30", "31 to 40"], []),
        (["1 to 10", "10 to 20", "21 to 30", "31 to 40"], [("L18", "warning")]),
    ],
)
def test_ranges_do_not_overlap(ranges, findings):
    texts = [f"Choose a number of loaves between {each} per shop." for each in ranges]

    assert [finding for finding in found(item(texts=texts, traits=["near-miss"])) if finding[0] == "L18"] == findings


def test_a_stem_gives_a_reason_and_not_an_authority():
    assert found(item(STEM.replace("You need", "You follow best practices. You need"))) == [("L18", "warning")]


# --- Notes ----------------------------------------------------------------------------------------


def test_a_note_that_starts_with_the_rule_answers_a_warning_and_never_an_error():
    note = HistoryRecord(date=TODAY, note="L09: two classes on purpose.")
    question = item().model_copy(update={"history": [note]})

    assert lint.is_answered(lint.Finding("L09", "warning", ""), question)
    assert not lint.is_answered(lint.Finding("L09", "error", ""), question)
    assert not lint.is_answered(lint.Finding("L10", "warning", ""), question)


# --- Between questions ----------------------------------------------------------------------------


def test_a_stem_that_is_told_again_is_found_at_the_later_question():
    first, again = item(), item(id="tiny-1.1-0002", stem=STEM.replace("five", "six"))
    alike = item(
        id="tiny-1.1-0003",
        stem=STEM[: len(STEM) // 2] + " " + "New facts of another kind stand here. " * 2 + "What now?",
    )
    other = item(
        id="tiny-1.1-0004", stem="A ferry line asks how many people will wait at each quay on Sunday. What fits?"
    )

    findings = lint.duplicate_findings([first, again, alike, other])

    assert {code: [(f.rule, f.severity) for f in each] for code, each in findings.items()} == {
        "tiny-1.1-0002": [("L11", "error")],
        "tiny-1.1-0003": [("L11", "warning")] * 2,
    }
