import random
from datetime import timedelta
from math import asin, comb, exp, nextafter, pi, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from questions.weakness import (
    MOST_FURTHER,
    PRIOR_STRENGTH,
    STRONG,
    UNSURE,
    WEAK,
    Evidence,
    beta_cdf,
    beta_quantile,
    estimates,
    label,
    pooled_rate,
    weight,
)

quick = settings(max_examples=60, deadline=None)
shape = st.floats(0.3, 400)
share = st.floats(0.001, 0.999)


# --- The Beta distribution ----------------------------------------------------------------------


@pytest.mark.parametrize("x", [0.001, 0.2, 0.5, 0.7, 0.999])
def test_the_beta_distribution_agrees_with_its_closed_forms(x):
    assert beta_cdf(x, 1, 1) == pytest.approx(x)
    assert beta_cdf(x, 2, 2) == pytest.approx(x * x * (3 - 2 * x))
    assert beta_cdf(x, 0.5, 0.5) == pytest.approx(2 / pi * asin(sqrt(x)))  # the arcsine distribution
    for a in (0.5, 1, 3, 40):
        assert beta_cdf(x, a, 1) == pytest.approx(x**a)
        assert beta_cdf(x, 1, a) == pytest.approx(1 - (1 - x) ** a)


@pytest.mark.parametrize(("a", "b"), [(3, 5), (8, 2), (20, 20), (70, 30), (300, 100)])
def test_the_beta_distribution_agrees_with_the_binomial_distribution(a, b):
    n = a + b - 1

    for x in (0.1, 0.5, 0.7, 0.9):
        binomial = sum(comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
        assert beta_cdf(x, a, b) == pytest.approx(binomial, abs=1e-10)


@pytest.mark.parametrize(("x", "below"), [(-1, 0.0), (0, 0.0), (1, 1.0), (2, 1.0)])
def test_nothing_lies_outside_0_to_1(x, below):
    assert beta_cdf(x, 3, 4) == below


@quick
@given(share, shape, shape)
def test_the_beta_distribution_is_symmetric(x, a, b):
    assert beta_cdf(x, a, b) == pytest.approx(1 - beta_cdf(1 - x, b, a), abs=1e-9)


@quick
@given(share, share, shape, shape)
def test_the_beta_distribution_never_falls(x, y, a, b):
    low, high = sorted((x, y))

    assert -1e-9 <= beta_cdf(low, a, b) <= beta_cdf(high, a, b) + 1e-9 <= 1 + 2e-9


def test_both_halves_of_the_fraction_claiming_a_point_is_no_endless_loop():
    # Rounding puts this x above the limit of its own half and 1 - x above that of the other.
    x, a, b = 0.10966500584305328, 15.654155966939657, 134.20974846556635
    assert x > (a + 1) / (a + b + 2)
    assert 1 - x > (b + 1) / (a + b + 2)

    below = beta_cdf(x, a, b)

    assert below == pytest.approx(beta_cdf(nextafter(nextafter(x, 0), 0), a, b), abs=1e-9)


@quick
@given(st.floats(0.01, 0.99), st.floats(2, 300), st.floats(2, 300))
def test_the_quantile_undoes_the_distribution(probability, a, b):
    x = beta_quantile(probability, a, b)

    assert beta_cdf(x - 1e-6, a, b) <= probability <= beta_cdf(x + 1e-6, a, b)


# --- Labels and the weight of age ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("below_target", "expected"),
    [
        (0.0, STRONG),
        (0.2, STRONG),
        (0.2000001, UNSURE),
        (0.5, UNSURE),
        (0.7999999, UNSURE),
        (0.8, WEAK),
        (1.0, WEAK),
    ],
)
def test_a_label_needs_a_probability_of_four_in_five(below_target, expected):
    assert label(below_target) == expected


@pytest.mark.parametrize(
    ("days", "expected"), [(-3, 1.0), (0, 1.0), (60, 0.5), (120, 0.25), (30, 0.5**0.5), (600, 0.5**10)]
)
def test_evidence_counts_half_after_the_half_life(days, expected):
    assert weight(timedelta(days=days), timedelta(days=60)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("evidence", "rate"),
    [
        ({}, 0.5),
        ({1: Evidence(0, 0)}, 0.5),
        ({1: Evidence(0, 4)}, 0.0),
        ({1: Evidence(5, 7), 2: Evidence(1.5, 3)}, 0.65),
    ],
)
def test_the_pooled_rate_is_right_of_asked_over_all_sections(evidence, rate):
    assert pooled_rate(evidence) == pytest.approx(rate)


# --- Estimates ----------------------------------------------------------------------------------


def test_a_sections_mastery_lies_between_its_own_rate_and_the_takers():
    evidence = {1: Evidence(2, 7), 2: Evidence(11, 13)}  # 13 of 20: pooled 0.65

    found = estimates(evidence, {1: 7, 2: 13}, target=0.7)

    assert PRIOR_STRENGTH == 15
    assert found[1].mastery == pytest.approx((2 + 15 * 0.65) / (7 + 15))
    assert found[2].mastery == pytest.approx((11 + 15 * 0.65) / (13 + 15))
    assert found[1].points_lost == pytest.approx(7 * (1 - 11.75 / 22))
    assert found[1].below_target == beta_cdf(0.7, 2 + 9.75, 5 + 5.25)
    assert (found[1].low, found[1].high) == (beta_quantile(0.025, 11.75, 10.25), beta_quantile(0.975, 11.75, 10.25))
    assert (found[1].label, found[2].label) == (WEAK, UNSURE)


def test_without_any_evidence_nothing_is_called_weak_or_strong_around_a_half():
    found = estimates({}, {1: 7, 2: 12}, target=0.5)

    assert [(e.mastery, e.label, e.further) for e in found.values()] == [(0.5, UNSURE, None)] * 2
    assert [e.points_lost for e in found.values()] == [3.5, 6.0]


def test_a_section_without_evidence_is_expected_at_the_takers_level():
    found = estimates({1: Evidence(16, 20)}, {1: 7, 2: 12}, target=0.7)

    assert found[2].mastery == pytest.approx(0.8)


def test_evidence_about_places_the_exam_does_not_have_counts_for_the_level_only():
    found = estimates({9: Evidence(3, 10)}, {1: 7}, target=0.7)

    assert list(found) == [1]
    assert found[1].mastery == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("right", "expected", "mastery"), [(0, WEAK, 15 * 0.02 / 75), (60, STRONG, (60 + 15 * 0.98) / 75)]
)
def test_all_wrong_or_all_right_is_still_no_certainty(right, expected, mastery):
    found = estimates({1: Evidence(right, 60)}, {1: 60}, target=0.7)[1]

    assert (found.label, found.mastery) == (expected, pytest.approx(mastery))
    assert 0 < found.low < found.mastery < found.high < 1


def test_what_to_study_first_weighs_mastery_with_the_questions_of_the_section():
    evidence = {1: Evidence(4, 7), 2: Evidence(8, 12), 3: Evidence(11, 12)}

    found = estimates(evidence, {1: 7, 2: 12, 3: 12}, target=0.7)

    assert sorted(found, key=lambda code: found[code].mastery) == [1, 2, 3]
    assert sorted(found, key=lambda code: -found[code].points_lost) == [2, 1, 3]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=3),
    st.integers(30, 95),
)
def test_further_is_the_fewest_questions_that_settle_the_label(counts, percent):
    evidence = {place: Evidence(right, asked) for place, (right, asked) in enumerate(counts)}
    target = percent / 100

    found = estimates(evidence, dict.fromkeys(evidence, 10), target)

    for place, estimate in found.items():
        size = evidence[place].asked + PRIOR_STRENGTH
        a = size * estimate.mastery

        def label_after(questions: int, size: float = size, a: float = a) -> str:
            grow = 1 + questions / size
            return label(beta_cdf(target, a * grow, (size - a) * grow))

        settled = [n for n in range(MOST_FURTHER + 1) if label_after(n) != UNSURE]
        assert estimate.further == (settled[0] if settled else None)
        assert (estimate.further == 0) == (estimate.label != UNSURE)


# --- Is it true? --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulation():
    """600 takers with known masteries sit one exam; overall ability N(1.0, 0.7) and sections N(0, 0.4) in logits."""
    questions, target = dict(enumerate([7, 12, 11, 12, 10, 8], 1)), 0.7
    chance = random.Random(20261121)
    found = {"weak": [], "strong": [], "covered": [], "loss": [], "loss by raw rates": []}
    for _ in range(600):
        ability = chance.gauss(1.0, 0.7)
        truth = {place: 1 / (1 + exp(-ability - chance.gauss(0, 0.4))) for place in questions}
        evidence = {
            place: Evidence(sum(chance.random() < truth[place] for _ in range(n)), n) for place, n in questions.items()
        }

        judged = estimates(evidence, questions, target)

        for place, estimate in judged.items():
            if estimate.label == WEAK:
                found["weak"].append(truth[place] < target)
            if estimate.label == STRONG:
                found["strong"].append(truth[place] >= target)
            found["covered"].append(estimate.low <= truth[place] <= estimate.high)
        cost = {place: n * (1 - truth[place]) for place, n in questions.items()}
        named = max(questions, key=lambda place: judged[place].points_lost)
        raw = min(questions, key=lambda place: evidence[place].right / evidence[place].asked)
        found["loss"].append(max(cost.values()) - cost[named])
        found["loss by raw rates"].append(max(cost.values()) - cost[raw])
    return {name: sum(values) / len(values) for name, values in found.items()}


def test_sections_called_weak_or_strong_mostly_are(simulation):
    assert simulation["weak"] > 0.85
    assert simulation["strong"] > 0.88


def test_the_95_per_cent_intervals_hold_the_truth_in_about_95_of_100(simulation):
    assert 0.93 < simulation["covered"] < 0.97


def test_studying_the_section_named_first_costs_far_less_than_going_by_raw_percentages(simulation):
    assert simulation["loss"] < 0.65 * simulation["loss by raw rates"]
    assert simulation["loss"] < 0.5  # exam points
