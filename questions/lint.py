"""Finds flaws of item writing that let a key be guessed, an option be ruled out, or a reader be misled.

`lint` looks at one question, `near_duplicates` at all stems of a bank. Each finding names its rule, L02 to L19; the rules
on shape and tags (L01, L10's equal options, L19) stand in `records`, because nothing that breaks them is loaded at all.
An error blocks. A warning asks for a better wording or for a note in the question's `history` that starts with the rule: "L07: ...".

Rules and thresholds follow the item-writing literature (Haladyna, Downing and Rodriguez 2002) and measurements of public question sets.
"""

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit

import sqlglot
from sqlglot.errors import SqlglotError

from questions.records import OptionRecord, PolicyRecord, QuestionRecord, ReferenceRecord
from questions.wording import (
    absolutes,
    common_words,
    last_sentence,
    length,
    phrases,
    prose,
    root,
    similarity,
    tokens,
    words,
)

Severity = Literal["error", "warning"]
ERROR: Severity = "error"
WARNING: Severity = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A flaw: the rule that found it, and in words what it is and how to mend it."""

    rule: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        return f"{self.rule} {self.severity}: {self.message}"


@dataclass(frozen=True)
class Bank:
    """What a question is held against besides itself."""

    policy: PolicyRecord
    references: Mapping[str, ReferenceRecord]
    today: date

    @cached_property
    def product_words(self) -> frozenset[str]:
        """Roots of the words of product names, today's and former ones."""
        names = [name for product in self.policy.products for name in (product.name, *product.former)]
        return frozenset(root(word) for name in names for word in words(name))

    @cached_property
    def former_names(self) -> re.Pattern[str] | None:
        names = [name for product in self.policy.products for name in product.former]
        if not names:
            return None
        longest_first = sorted(names, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def lint(question: QuestionRecord, bank: Bank) -> list[Finding]:
    """Every finding on one question but those on near-duplicates, in the order of the rules."""
    return [
        Finding(rule, severity, message) for rule, check in RULES.items() for severity, message in check(question, bank)
    ]


def is_answered(finding: Finding, question: QuestionRecord) -> bool:
    """Whether a reviewer's note in the history answers a warning."""
    return finding.severity == WARNING and any(entry.note.startswith(f"{finding.rule}:") for entry in question.history)


# --- Parts of a question ------------------------------------------------------------------------------


def _keys(question: QuestionRecord) -> list[OptionRecord]:
    return [option for option in question.options if option.key]


def _distractors(question: QuestionRecord) -> list[OptionRecord]:
    return [option for option in question.options if not option.key]


def _texts(question: QuestionRecord) -> Iterator[tuple[str, str]]:
    """Every text a taker reads: where, and the text."""
    yield "the stem", question.stem
    for option in question.options:
        yield "an option", option.text
        yield "a rationale", option.why
    yield "the explanation", question.explanation


def _quote(text: str) -> str:
    return f'"{text if len(text) <= 40 else text[:39].rstrip() + "…"}"'


# --- Rules: each yields severity and message ----------------------------------------------------------

Found = Iterator[tuple[Severity, str]]


def _key_length(question: QuestionRecord, bank: Bank) -> Found:
    """L02: the key stands out by its length."""
    lengths = {option.text: length(option.text) for option in question.options}
    for key in _keys(question):
        others = [lengths[option.text] for option in question.options if option is not key]
        mean = sum(others) / len(others)
        here = lengths[key.text]
        if here > max(others) and here > 1.25 * mean:
            yield ERROR, f"The key is the longest option by far ({here} characters, the others {mean:.0f})."
        if here < min(others) and here < 0.80 * mean:
            yield ERROR, f"The key is the shortest option by far ({here} characters, the others {mean:.0f})."


def _spread(question: QuestionRecord, bank: Bank) -> Found:
    """L03: options of very different length."""
    if all(len(option.text.split()) <= 4 for option in question.options):
        return
    lengths = [max(1, length(option.text)) for option in question.options]
    ratio = max(lengths) / min(lengths)
    if ratio > 1.6:
        severity = ERROR if ratio > 2.0 else WARNING
        yield severity, f"The longest option is {ratio:.1f} times the shortest. Write all to the same detail."


_LETTERS = re.compile(
    r"\b(?:[Aa]ll|[Nn]one|[Bb]oth|[Ee]ither) of the (?:above|options|answers|others)\b"
    r"|\bboth [A-E] and [A-E]\b"
    r"|\b(?:[Oo]ption|[Aa]nswer|[Cc]hoice)s? [A-E]\b"
    r"|\bthe (?:first|second|third|fourth|fifth|last|next|previous|other) (?:option|answer|choice)s?\b"
    r"|\bthe (?:options?|answers?|choices?) (?:above|below)\b|\bthe above\b(?! \d)"
    r"|\b(?:listed|mentioned|described|given) (?:above|below)\b"
)


def _places(question: QuestionRecord, bank: Bank) -> Found:
    """L04: options are shuffled, so no text may name a letter or a place."""
    for place, text in _texts(question):
        if match := _LETTERS.search(prose(text)):
            yield (
                ERROR,
                f"{_quote(match[0])} in {place} names options by letter, place or all at once. Say what is meant.",
            )


def _negative(question: QuestionRecord, bank: Bank) -> Found:
    """L05: the question asks for what is not so."""
    sentence = re.sub(r"\bat least\b", "", last_sentence(question.stem), flags=re.IGNORECASE)
    if match := re.search(r"\b(not|except|least|false|incorrect)\b", sentence, re.IGNORECASE):
        yield ERROR, f"The question has {_quote(match[0])}. Ask for what is right."


def _absolutes(question: QuestionRecord, bank: Bank) -> Found:
    """L06: words that make a careful reader doubt, or trust, an option."""
    key = {word for option in _keys(question) for word in absolutes(option.text)}
    others = {word for option in _distractors(question) for word in absolutes(option.text)}
    if key or others:
        where = "options" if key and others else "the key alone" if key else "distractors alone"
        yield WARNING, f"{_quote(', '.join(sorted(key | others)))} in {where}. Say it without."


def rare(text: str, bank: Bank) -> dict[str, str]:
    """The words that are neither among the commonest nor part of a product's name: root -> the word as it stands."""
    found = {root(word): word for word in words(text) if len(word) > 3}
    return {stump: word for stump, word in found.items() if stump not in common_words() | bank.product_words}


def _clang(question: QuestionRecord, bank: Bank) -> Found:
    """L07: a rare word of the stem that marks the key, or every distractor.

    Parallel candidates, where key and distractors each take up a rare word of the stem, cue nobody and are let pass.
    """
    stem = rare(question.stem, bank)
    keys = [stem.keys() & rare(option.text, bank).keys() for option in _keys(question)]
    others = [stem.keys() & rare(option.text, bank).keys() for option in _distractors(question)]
    in_keys, in_others = set().union(*keys), set().union(*others)

    def named(roots: set[str]) -> str:
        return _quote(", ".join(sorted(stem[stump] for stump in roots)))

    if in_keys - in_others and not in_others - in_keys:
        yield (
            WARNING,
            f"The key alone repeats {named(in_keys - in_others)} of the stem. Reword it, or name the rivals' words too.",
        )
    if all(roots - in_keys for roots in others) and not in_keys - in_others:
        yield (
            WARNING,
            f"Each distractor repeats a rare word of the stem, {named(in_others - in_keys)}, the key none. Reword the stem.",
        )


def _convergence(question: QuestionRecord, bank: Bank) -> Found:
    """L08: the key has something in common with two options each, as nothing else has."""
    shared = [
        sum(bool(phrases(option.text) & phrases(other.text)) for other in question.options if other is not option)
        for option in question.options
    ]
    keys = [count for count, option in zip(shared, question.options, strict=True) if option.key]
    others = [count for count, option in zip(shared, question.options, strict=True) if not option.key]
    if max(keys) >= 2 and max(others) < 2:
        yield WARNING, "Only the key shares phrases with two other options. Let a distractor do so too."


def _opening(text: str) -> str:
    """A rough class of the first word."""
    first = (words(text) or ["(code)"])[0]
    if first in {"a", "an", "the", "its", "their", "one", "two", "each", "no"}:
        return "an article"
    if first in {"by", "with", "in", "on", "from", "through", "after", "before", "because", "that", "when", "if"}:
        return "a preposition"
    return "an -ing form" if first.endswith("ing") and len(first) > 5 else "a word"


def _grammar(question: QuestionRecord, bank: Bank) -> Found:
    """L09: the stem fits some options better than others."""
    if re.search(r"(:|\b(?:a|an))\s*$", question.stem):
        yield ERROR, "The stem ends in a fragment. End it with a whole question."
    openings = {_opening(option.text) for option in question.options}
    if len(openings) > 1:
        yield WARNING, f"Options begin in different ways ({', '.join(sorted(openings))}). Use one form."
    if len({option.text.endswith(".") for option in question.options}) > 1:
        yield WARNING, "Some options end with a full stop, some without. Use one form."


def _alike(question: QuestionRecord, bank: Bank) -> Found:
    """L10: two options that nearly say the same."""
    if "near-miss" in question.traits:
        return
    for index, option in enumerate(question.options):
        for other in question.options[index + 1 :]:
            if similarity(tokens(option.text), tokens(other.text)) > 0.9:
                yield (
                    WARNING,
                    f"{_quote(option.text)} and {_quote(other.text)} are nearly alike. Set the trait near-miss.",
                )


def _size(question: QuestionRecord, bank: Bank) -> Found:
    """L12: as long as the exam's own questions."""
    stem = len(words(question.stem))  # numbers, as in a table of measurements, are read at a glance
    options = [len(option.text.split()) for option in question.options]
    if not 35 <= stem <= 130:
        yield ERROR, f"The stem has {stem} words; use 35 to 130."
    if out := [count for count in options if not 5 <= count <= 45]:
        yield WARNING, f"An option has {out[0]} words; use 5 to 45."
    if stem + sum(options) > 240:
        yield WARNING, f"Stem and options have {stem + sum(options)} words together; use up to 240."


def _question(question: QuestionRecord, bank: Bank) -> Found:
    """L13: a stem ends with its question."""
    if not last_sentence(question.stem).endswith("?"):
        yield ERROR, 'The stem does not end in a question. End it with "?".'
    if question.stem.rstrip().endswith("(Choose two.)") != (question.type == "multiple"):
        yield ERROR, '"(Choose two.)" ends the stem of a choose-two question, and of no other.'


def _rationales(question: QuestionRecord, bank: Bank) -> Found:
    """L14: a reason for every option, each its own."""
    for option in question.options:
        count = len(option.why.split())
        if not 15 <= count <= 70:
            yield WARNING, f"The rationale of {_quote(option.text)} has {count} words; use 15 to 70."
    for index, option in enumerate(question.options):
        for other in question.options[index + 1 :]:
            if similarity(tokens(option.why), tokens(other.why)) > 0.6:
                yield WARNING, f"The rationales of {_quote(option.text)} and {_quote(other.text)} are nearly alike."
    count = len(question.explanation.split())
    if not 25 <= count <= 80:
        yield WARNING, f"The explanation has {count} words; use 25 to 80."


def host(url: str) -> str:
    return urlsplit(url).hostname or ""


_FRESH = timedelta(days=180)
_LANGUAGE = re.compile(r"[?&#]hl=|/intl/|/(?:ja|de|fr|es|it|ko|zh-cn|zh-tw|pt-br|id)/")


def _references(question: QuestionRecord, bank: Bank) -> Found:
    """L15: official pages, in English, read not too long ago."""
    for code in question.references:
        reference = bank.references[code]
        if host(reference.url) not in bank.policy.hosts:
            yield ERROR, f"{reference.url} is not on an official host. Cite the official page."
        if _LANGUAGE.search(reference.url):
            yield ERROR, f"{reference.url} is not the page's plain English address."
        if bank.today - reference.checked > _FRESH:
            yield WARNING, f"{code} was last checked on {reference.checked}. Read it again."


def _names(question: QuestionRecord, bank: Bank) -> Found:
    """L16: today's product names, and nothing that is about to go as the deciding point."""
    former = bank.former_names
    for place, text in _texts(question):
        if former and (match := former.search(re.sub(r"\([^()]*\)", "", prose(text)))):
            yield (
                ERROR,
                f"{_quote(match[0])} in {place} is a former name. Write today's, the former one in parentheses.",
            )
    for key in _keys(question):
        for entry in bank.policy.not_decisive:
            if entry.phrase.casefold() in key.text.casefold():
                yield ERROR, f"{_quote(entry.phrase)} in a key: {entry.why}."


def _bigquery(code: str) -> None:
    try:
        sqlglot.parse(code, read="bigquery")
    except SqlglotError:
        # The parser knows `MODEL name` as an argument of some functions of BigQuery ML only; a table's name reads alike.
        sqlglot.parse(re.sub(r"\(\s*MODEL\b", "(TABLE", code, flags=re.IGNORECASE), read="bigquery")


_PARSERS: dict[str, Callable[[str], object]] = {"python": ast.parse, "sql": _bigquery, "json": json.loads}


def _code(question: QuestionRecord, bank: Bank) -> Found:
    """L17: code that could run, short enough to read in an exam."""
    for fence in re.finditer(r"^```([^\n]*)\n(.*?)^```\s*$", question.stem, re.MULTILINE | re.DOTALL):
        language, code = fence[1].strip(), fence[2]
        if not language:
            yield ERROR, "A code block names no language. Write it after the opening fence."
        if (lines := code.count("\n")) > 25:
            yield ERROR, f"A code block has {lines} lines; use up to 25."
        try:
            _PARSERS.get(language, str)(code)
        except (SyntaxError, SqlglotError, ValueError) as error:
            yield ERROR, f"A {language} block does not parse: {str(error).splitlines()[0]}"


_APPEAL = re.compile(r"\bbest practices?\b|\bis recommended\b|\brecommended practices?\b", re.IGNORECASE)
_RANGE = re.compile(r"^\D*(\d+(?:\.\d+)?)\s*(?:-|\u2013|to)\s*(\d+(?:\.\d+)?)\D*$")


def _numbers(question: QuestionRecord, bank: Bank) -> Found:
    """L18: ranges that overlap, and appeals to authority in place of a reason."""
    ranges = sorted(
        (float(match[1]), float(match[2])) for option in question.options if (match := _RANGE.match(option.text))
    )
    if len(ranges) == len(question.options):
        for (_, high), (low, _) in pairwise(ranges):
            if low <= high:
                yield WARNING, "Numeric options overlap. Give each value one option."
                break
    if match := _APPEAL.search(question.stem):
        yield WARNING, f"The stem appeals to {_quote(match[0])}. Give the reason: data, latency, cost, skill, law."


RULES: dict[str, Callable[[QuestionRecord, Bank], Found]] = {
    "L02": _key_length,
    "L03": _spread,
    "L04": _places,
    "L05": _negative,
    "L06": _absolutes,
    "L07": _clang,
    "L08": _convergence,
    "L09": _grammar,
    "L10": _alike,
    "L12": _size,
    "L13": _question,
    "L14": _rationales,
    "L15": _references,
    "L16": _names,
    "L17": _code,
    "L18": _numbers,
}

# --- Between questions ------------------------------------------------------------------------------


def near_duplicates(questions: Sequence[QuestionRecord]) -> list[tuple[QuestionRecord, QuestionRecord, float]]:
    """L11: pairs of stems whose three-word phrases are alike to 0.35 and more (Jaccard), the most alike first.

    Only pairs that share a phrase are looked at, so the work grows with what is shared and not with all pairs.
    """
    sets = [phrases(question.stem) for question in questions]
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, found in enumerate(sets):
        for phrase in found:
            holders[phrase].append(index)
    shared: Counter[tuple[int, int]] = Counter()
    for indexes in holders.values():
        shared.update((one, other) for place, one in enumerate(indexes) for other in indexes[place + 1 :])
    pairs = []
    for (one, other), count in shared.items():
        alike = count / (len(sets[one]) + len(sets[other]) - count)
        if alike >= 0.35:
            pairs.append((questions[one], questions[other], alike))
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0].id))


def duplicate_findings(questions: Sequence[QuestionRecord]) -> dict[str, list[Finding]]:
    """L11 as findings: question id -> what was found, told at the later question of each pair."""
    found: defaultdict[str, list[Finding]] = defaultdict(list)
    for one, other, alike in near_duplicates(questions):
        severity = ERROR if alike >= 0.5 else WARNING
        found[other.id].append(
            Finding("L11", severity, f"The stem is {alike:.0%} that of {one.id}. Tell another story.")
        )
    return dict(found)
