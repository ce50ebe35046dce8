"""The uplift: what is put in comes out, with an interval that holds for small groups and heavy tails."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import norm

from clv_pipeline.campaigns.uplift import ERROR, Comparison, Floats, Integers, detectable

Members = tuple[Integers, np.ndarray[tuple[int], np.dtype[np.bool_]], Floats, Floats]


def made(seed: int, customers: int = 600, holdout: float = 0.2, effect: float = 0.0) -> Members:
    """Stratum, group, outcome and expectation: most buy nothing, some very much, and a contact brings more orders."""
    rng = np.random.default_rng(seed)
    expected = rng.gamma(0.7, 30.0, customers)
    stratum = (np.argsort(np.argsort(expected)) * 4 // customers).astype(np.int64)
    is_control = np.zeros(customers, dtype=np.bool_)
    for number in range(4):
        of_stratum = np.flatnonzero(stratum == number)
        is_control[rng.permutation(of_stratum)[: round(holdout * len(of_stratum))]] = True
    orders = rng.poisson(expected / 60.0 * np.where(is_control, 1.0, 1.0 + effect))
    outcome = np.array([rng.lognormal(3.5, 1.0, count).sum() for count in orders])
    return stratum, is_control, outcome, expected


EIGHT = np.array([3.0, 0.0, 6.0, 3.0, 2.0, 4.0, 0.0, 2.0])
HALF = np.array([False] * 4 + [True] * 4)
NOTHING = np.zeros(8)
ONE = np.zeros(8, dtype=np.int64)


def test_without_strata_and_expectation_it_is_the_quotient_of_two_means() -> None:
    comparison = Comparison(ONE, HALF, EIGHT, NOTHING)
    assert (comparison.with_campaign, comparison.without_campaign) == (3.0, 2.0)
    assert comparison.estimate == pytest.approx(0.5)


def test_the_standard_error_is_that_of_all_ways_to_choose_the_control() -> None:
    differences = [
        EIGHT[~chosen].mean() - EIGHT[chosen].mean()
        for chosen in (np.isin(np.arange(8), control) for control in itertools.combinations(range(8), 3))
    ]
    comparison = Comparison(ONE, np.arange(8) < 3, EIGHT, NOTHING)
    assert comparison.deviation_without_uplift == pytest.approx(np.std(differences) / comparison.without_campaign)


def test_the_lots_are_those_of_all_ways_to_choose_the_control() -> None:
    comparison = Comparison(ONE, HALF, EIGHT, NOTHING)
    drawn = comparison._drawn @ np.array([1.0, 1.0, 0.0])
    every = [
        EIGHT[~chosen].mean() - EIGHT[chosen].mean()
        for chosen in (np.isin(np.arange(8), control) for control in itertools.combinations(range(8), 4))
    ]
    assert set(np.round(drawn, 9)) == set(np.round(every, 9))
    for difference in set(every):
        share = np.isclose(every, difference).mean()
        # Four binomial deviations.
        allowed = 4 * np.sqrt(share * (1 - share) / len(drawn))
        assert np.isclose(drawn, difference).mean() == pytest.approx(share, abs=allowed)


def test_lots_are_drawn_within_strata_and_the_same_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    stratum, is_control, _, expected = made(6, customers=200)
    # An outcome that only the stratum decides never differs between groups drawn within strata.
    drawn = Comparison(stratum, is_control, 10.0 * stratum.astype(np.float64), expected)._drawn @ np.array(
        [1.0, 1.0, 0.0]
    )
    assert np.allclose(drawn, 0.0)
    members = made(6, customers=200)
    whole = Comparison(*members).uplift()
    monkeypatch.setattr("clv_pipeline.campaigns.uplift._BLOCK", 50_000)
    assert Comparison(*members).uplift() == whole


def test_the_same_members_have_the_same_interval() -> None:
    assert Comparison(*made(7)).uplift() == Comparison(*made(7)).uplift()


def test_an_uplift_of_a_large_campaign_is_found_and_lies_in_its_interval() -> None:
    found = Comparison(*made(1, customers=20_000, holdout=0.5, effect=0.4)).uplift()
    assert found.is_found
    assert found.estimate is not None
    assert found.lower is not None
    assert found.upper is not None
    assert 0.0 < found.lower < 0.4 < found.upper
    assert found.lower < found.estimate < found.upper


def test_a_loss_is_found_too() -> None:
    found = Comparison(*made(1, customers=20_000, holdout=0.5, effect=-0.4)).uplift()
    assert found.is_found
    assert found.upper is not None
    assert found.upper < 0.0


def test_the_interval_ends_where_rejection_begins() -> None:
    comparison = Comparison(*made(2, customers=4_000, holdout=0.5))
    found = comparison.uplift()
    assert found.lower is not None
    assert found.upper is not None
    for end, outside in ((found.lower, -1e-6), (found.upper, 1e-6)):
        assert not comparison.is_rejected(end)
        assert comparison.is_rejected(end + outside)


def test_what_was_expected_narrows_the_interval() -> None:
    rng = np.random.default_rng(3)
    stratum, is_control, _, expected = made(3, customers=2_000)
    outcome = expected + rng.exponential(5.0, len(expected))
    with_it, without = (
        Comparison(stratum * 0, is_control, outcome, known).deviation for known in (expected, expected * 0.0)
    )
    assert with_it is not None
    assert without is not None
    assert with_it < 0.5 * without


def test_with_few_customers_there_may_be_no_upper_end_and_with_nothing_no_uplift() -> None:
    stratum, is_control, outcome, expected = made(4, customers=60)
    outcome[is_control] = 0.0
    found = Comparison(stratum, is_control, outcome, expected * 0.0).uplift()
    assert (found.estimate, found.upper) == (None, None)
    nothing = Comparison(stratum, is_control, outcome * 0.0, expected).uplift()
    assert (nothing.estimate, nothing.lower, nothing.upper, nothing.is_found) == (None, None, None, False)


def test_one_absurd_order_finds_nothing_wherever_the_lot_has_put_it() -> None:
    stratum, is_control, outcome, expected = made(8, customers=400, holdout=0.1)
    for of_control in (True, False):
        with_whale = outcome.copy()
        with_whale[np.flatnonzero(is_control == of_control)[0]] = 1e6
        assert not Comparison(stratum, is_control, with_whale, expected).is_rejected(0.0)


def test_strata_without_enough_of_either_group_are_left_out() -> None:
    stratum, is_control, outcome, expected = made(5)
    lonely = stratum == 1
    is_control = np.where(lonely, False, is_control)
    apart = Comparison(stratum, is_control, outcome, expected).uplift()
    kept = ~lonely
    rest = Comparison(stratum[kept], is_control[kept], outcome[kept], expected[kept]).uplift()
    assert apart == rest
    alone = Comparison(stratum, np.zeros_like(is_control), outcome, expected)
    assert not alone.is_possible
    assert (alone.estimate, alone.deviation, alone.uplift().lower, alone.added(1.0, 0.0)) == (None, None, None, None)


def test_a_detectable_uplift_is_found_in_four_of_five_cases() -> None:
    least = detectable(0.1)
    assert norm.cdf((least - 0.1 * norm.ppf(1 - ERROR / 2)) / 0.1) == pytest.approx(0.8)


@pytest.mark.parametrize("effect", [0.0, 0.5, 2.0])
def test_the_standard_error_is_that_of_the_uplift_that_is_found(effect: float) -> None:
    """The scatter of the estimates of 300 made-up campaigns, and half the width of the interval of a large one."""
    campaigns = [Comparison(*made(seed, customers=2_000, holdout=0.3, effect=effect)) for seed in range(300)]
    scatter = np.std([campaign.estimate for campaign in campaigns])
    told = np.median([campaign.deviation for campaign in campaigns])
    # The scatter of 300 is known to 4 %; the control of few large orders is a skew divisor, so that it is wider.
    assert 0.75 * scatter < told < 1.3 * scatter
    large = Comparison(*made(1, customers=20_000, holdout=0.5, effect=effect))
    found = large.uplift()
    assert found.lower is not None
    assert found.upper is not None
    assert large.deviation == pytest.approx((found.upper - found.lower) / (2 * norm.ppf(1 - ERROR / 2)), rel=0.1)


def test_the_standard_error_of_a_part_is_that_of_the_difference_at_the_uplift_of_the_whole() -> None:
    campaigns = [Comparison(*made(seed, customers=2_000, holdout=0.3, effect=2.0)) for seed in range(300)]
    added = np.array([campaign.added(20.0, 2.0) for campaign in campaigns])
    assert np.median(added[:, 1]) == pytest.approx(np.std(added[:, 0]), rel=0.25)
    # Without an uplift it is the same as of the whole.
    alone = Comparison(*made(1))
    found = alone.added(alone.without_campaign, 0.0)
    assert found is not None
    assert found[1] == pytest.approx(alone.deviation_without_uplift)


def test_a_campaign_after_which_nobody_buys_is_not_known_for_sure() -> None:
    stratum, is_control, outcome, expected = made(9)
    nothing = Comparison(stratum, is_control, outcome * is_control, expected)
    assert nothing.estimate == -1.0
    assert nothing.deviation == nothing.deviation_without_uplift
    assert nothing.deviation is not None
    assert nothing.deviation > 0.0


@pytest.mark.parametrize("effect", [0.0, 0.3])
def test_the_interval_misses_as_often_as_is_said(effect: float) -> None:
    """At 300 made-up campaigns of 300 customers with heavy tails, of whom 30 are left out."""
    missed = np.mean(
        [Comparison(*made(seed, customers=300, holdout=0.1, effect=effect)).is_rejected(effect) for seed in range(300)]
    )
    # Three binomial deviations of 1.26 % each; where there is no effect the level is exact.
    assert missed < ERROR + 0.038
    assert missed > 0.01
