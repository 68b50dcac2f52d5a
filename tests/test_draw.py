import random
from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from questions.draw import (
    BankTooSmall,
    Candidate,
    Cell,
    Shortage,
    allocate,
    draw,
    option_order,
    shown_key,
)

quick = settings(max_examples=60, deadline=None)


def candidates(objective: str, count: int, topics: int | None = None, first: int = 1) -> list[Candidate]:
    """Questions numbered from `first`, with so many topics in turn; each has its own unless told."""
    return [
        Candidate(
            question=first + n,
            revision=1000 + first + n,
            section=int(objective[0]),
            objective=objective,
            topic=f"{objective}-{(first + n) % (topics or count)}",
        )
        for n in range(count)
    ]


def numbers(drawn: list[Candidate]) -> list[int]:
    return sorted(candidate.question for candidate in drawn)


# --- Counts from weights ------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [{}, {"1": 0}, {"1": 0, "2": 0}, {"1": 3, "2": -1}, {"1": -2, "2": -3}], ids=str)
def test_weights_that_share_out_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be >= 0, one of them > 0"):
        allocate(weights, 60)


@pytest.mark.parametrize(
    ("weights", "total", "counts"),
    [
        ({"1": 12, "2": 20, "3": 18, "4": 20, "5": 17, "6": 13}, 60, [7, 12, 11, 12, 10, 8]),
        ({"1": 11, "2": 89}, 60, [7, 53]),  # 6.6 and 53.4
        ({"a": 1, "b": 1, "c": 1}, 10, [4, 3, 3]),  # a tie goes to the first
        ({"c": 1, "b": 1, "a": 1}, 11, [4, 4, 3]),  # listed first, not first in the alphabet
        ({"a": 0, "b": 5}, 3, [0, 3]),
        ({"a": 5, "b": 2}, 0, [0, 0]),
    ],
)
def test_counts_follow_the_weights_by_largest_remainder(weights, total, counts):
    assert list(allocate(weights, total).items()) == list(zip(weights, counts, strict=True))


@quick
@given(
    weights=st.dictionaries(st.text(max_size=3), st.integers(0, 1000), min_size=1, max_size=12).filter(
        lambda weights: any(weights.values())
    ),
    total=st.integers(0, 500),
)
def test_counts_add_up_keep_their_order_and_are_the_exact_share_rounded_up_or_down(weights, total):
    counts = allocate(weights, total)

    assert list(counts) == list(weights)
    assert sum(counts.values()) == total
    whole = sum(weights.values())
    assert all(total * weights[code] // whole <= count for code, count in counts.items())
    assert all(count <= -(-total * weights[code] // whole) for code, count in counts.items())


# --- The draw -----------------------------------------------------------------------------------


def test_a_bank_that_is_too_small_says_what_every_cell_lacks():
    cells = [Cell(1, "1.1", 3), Cell(1, "1.2", 2), Cell(2, "", 4), Cell(3, "3.1", 1)]
    bank = candidates("1.1", 1) + candidates("1.2", 2, first=10) + candidates("2.1", 3, first=20)

    with pytest.raises(BankTooSmall) as refusal:
        draw(cells, bank, {}, seed=1)

    assert refusal.value.shortages == [Shortage(1, "1.1", 2), Shortage(2, "", 1), Shortage(3, "3.1", 1)]
    assert str(refusal.value) == (
        "section 1, objective 1.1: 2 too few; section 2: 1 too few; section 3, objective 3.1: 1 too few"
    )


@quick
@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    spare=st.integers(0, 6),
    topics=st.integers(1, 8),
    served=st.dictionaries(st.integers(1, 60), st.integers(0, 9)),
    seed=st.integers(0, 2**63),
)
def test_every_cell_gets_its_number_and_nothing_comes_twice(counts, spare, topics, served, seed):
    cells = [Cell(1, f"1.{n}", count) for n, count in enumerate(counts, 1)]
    bank = [c for n, cell in enumerate(cells) for c in candidates(cell.objective, 5 + spare, topics, 1 + 20 * n)]

    drawn = draw(cells, bank, served, seed)

    assert Counter(c.objective for c in drawn) == Counter({cell.objective: cell.questions for cell in cells})
    assert len(set(drawn)) == len(drawn) == sum(counts)
    assert set(drawn) <= set(bank)


def test_a_section_without_objective_counts_draws_from_all_of_its_objectives():
    bank = candidates("1.1", 2) + candidates("1.2", 2, first=10) + candidates("2.1", 5, first=20)

    drawn = draw([Cell(1, "", 4), Cell(2, "", 1)], bank, {}, seed=1)

    assert Counter(c.objective for c in drawn) == {"1.1": 2, "1.2": 2, "2.1": 1}


def test_objectives_without_a_cell_and_sections_without_one_are_never_drawn():
    bank = candidates("1.1", 2) + candidates("1.2", 9, first=10) + candidates("2.1", 9, first=20)

    drawn = draw([Cell(1, "1.1", 2)], bank, {}, seed=1)

    assert numbers(drawn) == [1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_unseen_questions_come_first_then_those_longest_unseen(seed):
    served = {1: 30, 2: 10, 3: 20, 4: 40}  # 5 and 6 never

    drawn = {count: numbers(draw([Cell(1, "1.1", count)], candidates("1.1", 6), served, seed)) for count in (2, 3, 5)}

    assert drawn == {2: [5, 6], 3: [2, 5, 6], 5: [1, 2, 3, 5, 6]}


@pytest.mark.parametrize("seed", range(20))
def test_a_question_seen_in_the_first_attempt_of_all_is_not_taken_for_unseen(seed):
    drawn = draw([Cell(1, "1.1", 1)], candidates("1.1", 2), {1: 0}, seed)

    assert numbers(drawn) == [2]


@quick
@given(seed=st.integers(0, 2**63), served=st.dictionaries(st.integers(1, 40), st.integers(0, 3)), data=st.data())
def test_the_same_seed_gives_the_same_exam_whatever_the_order_of_the_candidates(seed, served, data):
    cells = [Cell(1, "1.1", 5), Cell(1, "1.2", 3), Cell(2, "", 4)]
    bank = (
        candidates("1.1", 12, topics=4)
        + candidates("1.2", 9, topics=3, first=15)
        + candidates("2.1", 9, topics=5, first=30)
    )
    mixed = data.draw(st.permutations(bank))

    assert draw(cells, mixed, served, seed) == draw(cells, bank, served, seed)


def test_another_seed_gives_other_questions_in_another_order():
    exams = [draw([Cell(1, "1.1", 5)], candidates("1.1", 30), {}, seed) for seed in range(20)]

    assert len({tuple(numbers(exam)) for exam in exams}) > 15
    assert sum(numbers(exam) == [c.question for c in exam] for exam in exams) < 3


def test_every_question_has_about_the_same_chance():
    bank = candidates("1.1", 10)

    times = Counter(c.question for seed in range(2000) for c in draw([Cell(1, "1.1", 3)], bank, {}, seed))

    assert set(times) == set(range(1, 11))
    assert all(abs(count - 600) < 100 for count in times.values())  # five standard deviations


def test_the_questions_of_a_section_do_not_stand_together():
    cells = [Cell(section, f"{section}.1", 5) for section in (1, 2)]
    bank = candidates("1.1", 5) + candidates("2.1", 5, first=10)

    exams = [draw(cells, bank, {}, seed) for seed in range(50)]

    in_blocks = [exam for exam in exams if len(list(groupby(exam, key=lambda c: c.section))) == 2]
    assert len(in_blocks) < 5


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("topics", "distinct"), [(9, 4), (4, 4), (3, 3), (1, 1)])
def test_a_topic_comes_twice_only_when_the_cell_has_no_other(seed, topics, distinct):
    drawn = draw([Cell(1, "1.1", 4)], candidates("1.1", 9, topics), {}, seed)

    assert len({c.topic for c in drawn}) == distinct
    assert len(drawn) == 4


@pytest.mark.parametrize("seed", range(20))
def test_a_topic_drawn_for_one_objective_is_left_out_of_the_next(seed):
    same, other = Candidate(10, 10, 1, "1.2", "1.1-0"), Candidate(11, 11, 1, "1.2", "another")

    drawn = draw([Cell(1, "1.1", 1), Cell(1, "1.2", 1)], [*candidates("1.1", 1), same, other], {}, seed)

    assert numbers(drawn) == [1, 11]


@pytest.mark.parametrize("seed", range(20))
def test_an_unseen_question_is_better_than_one_with_a_topic_of_its_own(seed):
    drawn = draw([Cell(1, "1.1", 2)], candidates("1.1", 3, topics=2), {2: 5}, seed)  # 1 and 3 share a topic

    assert numbers(drawn) == [1, 3]


@pytest.mark.parametrize("seed", range(20))
def test_among_those_equally_long_unseen_a_topic_already_drawn_comes_last(seed):
    drawn = draw([Cell(1, "1.1", 2)], candidates("1.1", 3, topics=2), {2: 5, 3: 5}, seed)  # 1 and 3 share a topic

    assert numbers(drawn) == [1, 2]


# --- The order of the options -------------------------------------------------------------------


@quick
@given(options=st.integers(1, 8), seed=st.integers(0, 2**63), position=st.integers(1, 200))
def test_an_option_order_shows_every_option_once_and_is_the_same_again(options, seed, position):
    order = option_order(options, seed, position)

    assert sorted(order) == [str(n) for n in range(options)]
    assert option_order(options, seed, position) == order


@pytest.mark.parametrize("options", [4, 5])
@pytest.mark.parametrize("along", ["seeds", "positions"])
def test_the_key_stands_in_every_place_about_equally_often(options, along):
    pairs = [(seed, 1) if along == "seeds" else (1, seed) for seed in range(4000)]

    for key in range(options):
        places = Counter(option_order(options, *pair).index(str(key)) for pair in pairs)
        assert all(abs(places[place] - 4000 / options) < 140 for place in range(options))  # five standard deviations


@pytest.mark.parametrize(
    ("order", "key", "letters"),
    [("2031", "0", "B"), ("2031", "03", "BC"), ("0123", "3", "D"), ("43210", "40", "AE"), ("2031", "", "")],
)
def test_the_key_is_shown_under_the_letters_of_its_places(order, key, letters):
    assert shown_key(order, key) == letters


@quick
@given(seed=st.integers(0, 2**63), options=st.integers(2, 8), data=st.data())
def test_the_letters_shown_lead_back_to_the_key(seed, options, data):
    key = data.draw(st.sets(st.sampled_from("01234567"[:options]), min_size=1, max_size=2))
    order = option_order(options, seed, position=random.Random(seed).randint(1, 60))

    letters = shown_key(order, "".join(key))

    assert {order["ABCDEFGH".index(letter)] for letter in letters} == key
    assert list(letters) == sorted(letters)
