"""
Medians, ratios and noise.
"""

from benchmarks.scenarios import percentile
from benchmarks.spread import Spread, differences, ratios


def test_a_spread_is_the_median_with_the_least_and_the_greatest() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([4.0, 1.0]) == Spread(2.5, 1.0, 4.0, 2)


def test_nothing_has_no_spread() -> None:
    assert Spread.of([]) is None


def test_ratios_and_differences_are_of_values_of_the_same_round() -> None:
    ours = {1: 10.0, 2: 30.0, 3: 5.0}
    theirs = {2: 10.0, 1: 20.0, 4: 1.0}
    assert ratios(ours, theirs) == [0.5, 3.0]
    assert differences(ours, theirs) == [-10.0, 20.0]


def test_there_is_no_ratio_to_nothing() -> None:
    assert ratios({1: 1.0}, {1: 0.0}) == []


def test_ratios_on_both_sides_of_one_are_noise() -> None:
    assert Spread(1.1, 0.9, 1.2, 3).is_noise
    assert not Spread(1.1, 1.05, 1.2, 3).is_noise
    assert not Spread(0.9, 0.8, 0.95, 3).is_noise


def test_one_round_says_nothing_of_noise() -> None:
    assert not Spread(1.0, 1.0, 1.0, 1).is_noise


def test_a_percentile_is_a_value_that_its_share_is_not_above() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile(values, 1.0) == 100.0
    assert percentile([7.0], 0.01) == 7.0
    assert percentile([1.0, 2.0], 0.99) == 2.0
