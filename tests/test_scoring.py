import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from questions.scoring import Tally, is_right, tally, wilson

quick = settings(max_examples=80, deadline=None)
counts = st.integers(0, 500).flatmap(lambda asked: st.tuples(st.integers(0, asked), st.just(asked)))


@pytest.mark.parametrize(
    ("key", "chosen", "right"),
    [
        ("B", "", False),
        ("B", "A", False),
        ("B", "AB", False),
        ("AD", "A", False),
        ("AD", "ABD", False),
        ("AD", "BC", False),
        ("B", "B", True),
        ("AD", "AD", True),
        ("AD", "DA", True),
    ],
)
def test_an_answer_is_right_only_with_every_right_option_and_no_other(key, chosen, right):
    assert is_right(frozenset(key), frozenset(chosen)) is right


# --- Tallies ------------------------------------------------------------------------------------


def test_marks_are_counted_per_place_in_the_order_places_appear():
    marks = [(3, True), (1, False), (3, False), (2, True), (1, False), (3, True)]

    tallies = tally(marks)

    assert list(tallies.items()) == [(3, Tally(2, 3)), (1, Tally(0, 2)), (2, Tally(1, 1))]


def test_no_marks_give_no_tallies():
    assert tally([]) == {}


@pytest.mark.parametrize(
    ("right", "asked", "percent"), [(0, 0, 0), (0, 7, 0), (7, 7, 100), (5, 7, 71), (2, 3, 67), (1, 3, 33)]
)
def test_a_tally_in_per_cent(right, asked, percent):
    assert Tally(right, asked).percent == percent


# --- Wilson's interval --------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "asked"), [(-1, 5), (6, 5), (1, 0), (-1, 0), (float("nan"), 5)])
def test_counts_that_cannot_be_are_refused(right, asked):
    with pytest.raises(ValueError, match="0 <= right <= asked does not hold"):
        wilson(right, asked)


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [
        # Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # By hand: z z / (10 + z z) beyond none or all of ten, and the middle of a half is a half
        (0, 10, 0.0000, 0.2775),
        (10, 10, 0.7225, 1.0000),
        (5, 10, 0.2366, 0.7634),
    ],
)
def test_the_interval_agrees_with_published_values(right, asked, low, high):
    assert wilson(right, asked) == pytest.approx((low, high), abs=0.00006)


def test_without_questions_everything_is_possible():
    assert wilson(0, 0) == (0.0, 1.0)


def test_counts_discounted_by_age_may_be_fractions():
    assert wilson(2.5, 5.0) == pytest.approx((1 - wilson(2.5, 5.0)[1], wilson(2.5, 5.0)[1]))


@quick
@given(counts)
def test_the_interval_lies_in_0_to_1_around_the_share(count):
    right, asked = count

    low, high = wilson(right, asked)

    assert 0 <= low < high <= 1
    assert not asked or low <= right / asked <= high
    assert ((low == 0), (high == 1)) == ((right == 0), (right == asked))


@quick
@given(counts)
def test_right_and_wrong_mirror_each_other(count):
    right, asked = count

    low, high = wilson(right, asked)

    assert wilson(asked - right, asked) == pytest.approx((1 - high, 1 - low))


@quick
@given(counts.filter(lambda count: count[0] < count[1]))
def test_one_more_right_moves_both_ends_up(count):
    right, asked = count

    (low, high), (low_after, high_after) = wilson(right, asked), wilson(right + 1, asked)

    assert low_after > low
    assert high_after > high


@quick
@given(counts.filter(lambda count: count[1] > 0), st.integers(2, 10))
def test_more_questions_with_the_same_share_narrow_the_interval(count, times):
    right, asked = count

    (low, high), (low_after, high_after) = wilson(right, asked), wilson(right * times, asked * times)

    assert high_after - low_after < high - low


def test_a_greater_z_widens_the_interval():
    low, high = wilson(6, 10)
    low_after, high_after = wilson(6, 10, z=2.576)

    assert low_after < low < high < high_after
