"""Measures a whole bank: does anything but the stem tell the key, and is everything covered, explained and solved?

Single-choice questions of four options are measured against chance, 25%. While the bank is below its full size, the
bounds of shares widen by 1.5 standard errors, because that much is luck.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, pstdev

from sklearn.linear_model import LogisticRegression

from questions import lint, wording
from questions.bank_file import BankFiles, face_digest
from questions.records import GuideRecord, OptionRecord, QuestionRecord, SolveRecord

FULL_EXAMS = 10  # a full bank gives so many exams without a question in common
SAMPLE = 100  # options-only answers that G5 needs
CHANCE = 0.25


@dataclass(frozen=True, slots=True)
class Gate:
    """One measure of the bank. `figure` says what was measured and what is wanted."""

    code: str
    title: str
    passed: bool
    figure: str


def gates(bank: BankFiles) -> list[Gate]:
    """Every gate over the published questions, in order. `bank` must have no problems."""
    published = [question for question in bank.questions if question.status == "published"]
    single = [question for question in published if question.type == "single"]
    full = FULL_EXAMS * bank.guides[0].exam.questions
    slack = 0.0 if len(published) >= full or not single else 1.5 * math.sqrt(CHANCE * (1 - CHANCE) / len(single))

    def between(code: str, title: str, share: float, low: float, high: float) -> Gate:
        low, high = max(0.0, low - slack), high + slack
        return Gate(code, title, low <= share <= high, f"{share:.0%} (wanted {low:.0%} to {high:.0%})")

    def guess(code: str, title: str, score: Callable[[QuestionRecord, OptionRecord], float]) -> Gate:
        return between(code, title, guessed(single, score), 0.20, 0.30)

    places = Counter(stored for question in single for stored, option in enumerate(question.options) if option.key)
    shares = [places[stored] / max(1, len(single)) for stored in range(4)]
    low, high = max(0.0, 0.21 - slack), 0.29 + slack
    surface = surface_solver(single)
    return [
        between("G1", "key uniquely longest", stands_out(single, max), 0.20, 0.30),
        between("G1", "key uniquely shortest", stands_out(single, min), 0.20, 0.30),
        Gate(
            "G2",
            "stored position of the key",
            all(low <= share <= high for share in shares),
            f"{', '.join(f'{share:.0%}' for share in shares)} (wanted {low:.0%} to {high:.0%})",
        ),
        Gate(
            "G3",
            "solver that sees only the surface",
            surface <= 0.31 + slack,
            f"{surface:.0%} (wanted up to {0.31 + slack:.0%})",
        ),
        guess("G4", "guess by most words of the stem", stem_overlap),
        guess("G4", "guess by fewest words of the stem", lambda question, option: -stem_overlap(question, option)),
        guess("G4", "guess by most words shared with other options", shared_words),
        _options_only(single, bank.options_only),
        _explained(bank, published),
        _near_duplicates(published),
        _solved(published, bank.solves),
        *_covered(bank.guides[0], published),
    ]


# --- What the surface tells -------------------------------------------------------------------------


def stands_out(questions: Sequence[QuestionRecord], extreme: Callable[[Iterable[int]], int]) -> float:
    """Share of the questions whose key alone has the greatest (or least) length."""
    told = 0
    for question in questions:
        lengths = [wording.length(option.text) for option in question.options]
        edge = extreme(lengths)
        told += lengths.count(edge) == 1 and question.options[lengths.index(edge)].key is True
    return told / max(1, len(questions))


def guessed(questions: Sequence[QuestionRecord], score: Callable[[QuestionRecord, OptionRecord], float]) -> float:
    """Share right when the option of the highest score is chosen; among equals, each with the same chance."""
    right = 0.0
    for question in questions:
        scores = [score(question, option) for option in question.options]
        best = [option for option, value in zip(question.options, scores, strict=True) if value == max(scores)]
        right += sum(option.key is True for option in best) / len(best)
    return right / max(1, len(questions))


def _content(text: str) -> set[str]:
    return {wording.root(word) for word in wording.words(text) if len(word) > 3}


def stem_overlap(question: QuestionRecord, option: OptionRecord) -> float:
    """The share of an option's words that stand in the stem."""
    mine = _content(option.text)
    return len(mine & _content(question.stem)) / max(1, len(mine))


def shared_words(question: QuestionRecord, option: OptionRecord) -> float:
    """How many of an option's words the other options use too, on average."""
    mine = _content(option.text)
    return mean(len(mine & _content(other.text)) for other in question.options if other is not option)


_JOINTS = frozenset(["and", "with", "that", "which", "because", "before", "after", "so", "while", "then"])
FEATURES: dict[str, Callable[[QuestionRecord, OptionRecord], float]] = {
    "characters": lambda question, option: wording.length(option.text),
    "words": lambda question, option: len(option.text.split()),
    "longest": lambda question, option: option.text == max((o.text for o in question.options), key=len),
    "shortest": lambda question, option: option.text == min((o.text for o in question.options), key=len),
    "stem overlap": stem_overlap,
    "shared words": shared_words,
    "absolutes": lambda question, option: len(wording.absolutes(option.text)),
    "digits": lambda question, option: sum(char.isdigit() for char in option.text),
    "commas": lambda question, option: option.text.count(","),
    "joints": lambda question, option: sum(word in _JOINTS for word in wording.words(option.text)),
    "capitals": lambda question, option: sum(char.isupper() for char in option.text),
    "code": lambda question, option: option.text.count("`"),
    "position": lambda question, option: question.options.index(option),
}


def surface_solver(questions: Sequence[QuestionRecord], folds: int = 5) -> float:
    """Share right of a logistic regression that sees only FEATURES, each told relative to the question's other options.

    Cross-validated: a question is answered by a model that was fitted without it. Folds follow the digest of the id, so the
    same bank gives the same figure. Of a question, the option with the highest probability counts as chosen.
    """
    questions = sorted(questions, key=lambda question: question.id)
    rows = {question.id: _features(question) for question in questions}
    fold = {question.id: int(hashlib.sha256(question.id.encode()).hexdigest(), 16) % folds for question in questions}
    right = 0
    for held_out in range(folds):
        fitted = [question for question in questions if fold[question.id] != held_out]
        asked = [question for question in questions if fold[question.id] == held_out]
        if not fitted or not asked:
            continue
        model = LogisticRegression(C=0.5, class_weight="balanced", max_iter=1000)
        model.fit(
            [row for question in fitted for row in rows[question.id]],
            [option.key is True for question in fitted for option in question.options],
        )
        for question in asked:
            chances = [chance[1] for chance in model.predict_proba(rows[question.id])]
            right += question.options[chances.index(max(chances))].key is True
    return right / max(1, len(questions))


def _features(question: QuestionRecord) -> list[list[float]]:
    """A row for each option, each feature in standard deviations from the question's mean."""
    columns = []
    for feature in FEATURES.values():
        values = [float(feature(question, option)) for option in question.options]
        spread = pstdev(values) or 1.0
        columns.append([(value - mean(values)) / spread for value in values])
    return [list(row) for row in zip(*columns, strict=True)]


# --- What readers found -----------------------------------------------------------------------------


def keys(question: QuestionRecord) -> list[str]:
    return sorted(option.text for option in question.options if option.key)


def matches(question: QuestionRecord, solve: SolveRecord) -> bool:
    """A blind answer to the question's present text that is the key, fairly sure of it and of nothing else."""
    return (
        solve.face == face_digest(question)
        and sorted(solve.answer) == keys(question)
        and solve.confidence >= 2
        and not solve.defended
    )


def _options_only(single: Sequence[QuestionRecord], stages: Mapping[str, Sequence[SolveRecord]]) -> Gate:
    """G5: readers who see the options without the stem; the latest stage counts, of questions that still stand."""
    title = "reader who sees only the options"
    if not stages:
        return Gate("G5", title, False, "not measured")
    stage = max(stages, key=int)
    by_id = {question.id: question for question in single}
    asked = [solve for solve in stages[stage] if solve.question in by_id]
    right = sum(sorted(solve.answer) == keys(by_id[solve.question]) for solve in asked)
    enough = len(asked) >= min(SAMPLE, len(single))
    share = right / max(1, len(asked))
    return Gate(
        "G5", title, enough and share <= 0.40, f"{share:.0%} of {len(asked)} at {stage} questions (wanted up to 40%)"
    )


def _explained(bank: BankFiles, published: Sequence[QuestionRecord]) -> Gate:
    hosts = bank.policy.hosts if bank.policy else []
    official = {reference.id for reference in bank.references if lint.host(reference.url) in hosts}
    whole = [
        question
        for question in published
        if all(option.why for option in question.options) and official.intersection(question.references)
    ]
    return Gate(
        "G6",
        "a reason for every option, an official reference",
        len(whole) == len(published),
        f"{len(whole)} of {len(published)}",
    )


def _near_duplicates(published: Sequence[QuestionRecord]) -> Gate:
    pairs = len(lint.near_duplicates(published))
    return Gate("G7", "stems that are nearly alike", pairs == 0, f"{pairs} pair{'s' * (pairs != 1)} (wanted 0)")


def _solved(published: Sequence[QuestionRecord], solves: Mapping[str, Sequence[SolveRecord]]) -> Gate:
    twice = [
        question
        for question in published
        if len({solve.reader for solve in solves.get(question.id, []) if matches(question, solve)}) >= 2
    ]
    return Gate(
        "G8",
        "two blind readers matched the key",
        len(twice) == len(published),
        f"{len(twice)} of {len(published)}",
    )


def _covered(guide: GuideRecord, published: Sequence[QuestionRecord]) -> list[Gate]:
    """G9: whole exams by the blueprint, and as many topics as a bank of this size should have."""
    exams = max(1, len(published) // guide.exam.questions)
    wanted = {(cell.section, cell.objective): cell.questions * exams for cell in guide.cells()}
    have = Counter((question.section, question.objective) for question in published)
    off = sorted(place for place in {*wanted, *have} if wanted.get(place, 0) != have[place])
    topics = set(guide.topic_sections())
    covered = topics.intersection(topic for question in published for topic in question.topics)
    share = min(1.0, len(published) / (FULL_EXAMS * guide.exam.questions))
    return [
        Gate(
            "G9",
            "questions of each objective",
            not off,
            f"{len(published)}: exactly {exams} exam{'s' * (exams > 1)}"
            if not off
            else f"off in {', '.join(objective for _, objective in off)}",
        ),
        Gate(
            "G9",
            "topics with a published question",
            len(covered) >= share * len(topics),
            f"{len(covered)} of {len(topics)} (wanted {math.ceil(share * len(topics))} at this size)",
        ),
    ]
