"""Measures of wording that lint and the gates share: lengths, words, phrases and what two texts have in common."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_FENCE = re.compile(r"^```[^\n]*\n.*?^```[^\n]*$", re.MULTILINE | re.DOTALL)
_WORD = re.compile(r"[a-z][a-z'-]*[a-z]|[a-z]")


def prose(text: str) -> str:
    """The text without its code: no fenced block, no code span."""
    return re.sub(r"`[^`]*`", " ", _FENCE.sub(" ", text))


def length(text: str) -> int:
    """Characters of plain text; code, numbers and marks of emphasis do not count."""
    return len(" ".join(re.sub(r"[\d*_]+", "", prose(text)).split()))


def words(text: str) -> list[str]:
    """The words of the text in lower case, code left out."""
    return _WORD.findall(prose(text).casefold())


def tokens(text: str) -> list[str]:
    """Words and numbers in lower case, those of code too: what two texts are compared by."""
    return re.findall(r"[a-z0-9_.]*[a-z0-9_]", text.casefold())


def last_sentence(stem: str) -> str:
    """The question at the end of a stem, without "(Choose two.)"."""
    text = re.sub(r"\(Choose two\.\)\s*$", "", prose(stem)).strip()
    return re.split(r"(?<=[.?!])\s+", text)[-1] if text else ""


@cache
def common_words() -> frozenset[str]:
    """The 2,000 commonest words of English, reduced by `root`."""
    lines = (Path(__file__).parent / "common_words.txt").read_text("utf-8").splitlines()
    return frozenset(root(line) for line in lines if line and not line.startswith("#"))


@cache
def root(word: str) -> str:
    """A word without its commonest endings, so that forms of one word meet."""
    word = word.removesuffix("'s")
    for ending, shortest in (("ing", 6), ("ed", 5), ("es", 5), ("s", 4), ("e", 5), ("ly", 6)):
        if word.endswith(ending) and len(word) >= shortest and not word.endswith("ss"):
            return root(word.removesuffix(ending))
    return word


def similarity(one: Iterable[str], other: Iterable[str]) -> float:
    """Jaccard: shared members / all members; 0 where there are none."""
    left, right = set(one), set(other)
    return len(left & right) / len(left | right) if left | right else 0.0


def phrases(text: str, size: int = 3) -> set[tuple[str, ...]]:
    """Runs of `size` words or numbers."""
    found = tokens(text)
    return set(zip(*(found[start:] for start in range(size)), strict=False))


_ABSOLUTES = re.compile(
    r"\b(always|never|all|only|every|must|cannot|guarantees?d?|usually|often|(?-i:may))\b", re.IGNORECASE
)
_QUANTITIES = re.compile(
    r"\bevery (?:\d+|other|few|minute|hour|day|night|week|month|quarter|year|request|row|step|run|epoch)\b"
    r"|\ball (?:the |of the |its |their |other |\d+ |\w+ )?\w+s\b",
    re.IGNORECASE,
)


def absolutes(text: str) -> set[str]:
    """The absolute and vague words of a text, quantities such as "every 15 minutes" left out."""
    return {word.casefold() for word in _ABSOLUTES.findall(_QUANTITIES.sub("", prose(text)))}
