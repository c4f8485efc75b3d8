"""The soak's verdict: a leak is noticed, and a relay that only fills up and goes up and down has none."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.kit.soak import GAIN, MORE_DESCRIPTORS, SLOPE, Deliveries, Figures, Line, fit, judge

FINE = Figures(1000.0, 100, 50 * 2**20, 0.0, 0.0, 0.0, (12, 12), 1000, 5000, 10**6, 50)


@pytest.mark.parametrize("slope", [0.0, 3.0, -0.5])
def test_points_on_a_line_give_that_line(slope: float) -> None:
    line = fit([(moment, 7.0 + slope * moment) for moment in (1.0, 2.0, 4.0, 9.0)])
    assert line.slope == pytest.approx(slope)
    assert line.start == pytest.approx(7.0)


def test_the_line_is_the_one_with_the_least_squares() -> None:
    points = [(0.0, 0.0), (1.0, 3.0), (2.0, 0.0), (3.0, 3.0)]

    def squares(line: Line) -> float:
        return sum((line.start + line.slope * moment - value) ** 2 for moment, value in points)

    best = fit(points)
    assert best.slope == pytest.approx(0.6)
    for slope, start in ((0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01)):
        assert squares(Line(best.slope + slope, best.start + start)) > squares(best)


def test_points_of_one_moment_have_no_slope() -> None:
    assert fit([(5.0, 1.0), (5.0, 3.0)]) == Line(0.0, 2.0)


def samples(leak: float, seconds: int = 1000) -> list[tuple[float, float]]:
    """A relay that fills up in 200 seconds, and then goes up and down by some MB, and up by `leak` bytes a second."""
    noise = random.Random(1)
    resident = [min(second, 200) * 10**5 + noise.randrange(4 * 2**20) + leak * second for second in range(seconds)]
    return [(float(second), size) for second, size in enumerate(resident)]


def test_the_warm_up_is_no_growth_and_neither_are_ups_and_downs() -> None:
    gained, slope = judge(samples(leak=0.0), warm_up=300.0)
    assert not replace(FINE, gained=gained, slope=slope).faults()
    gained, slope = judge(samples(leak=0.0), warm_up=0.0)
    assert replace(FINE, gained=gained, slope=slope).faults()


def test_a_leak_is_noticed() -> None:
    gained, slope = judge(samples(leak=2 * SLOPE), warm_up=300.0)
    assert slope == pytest.approx(2 * SLOPE, rel=0.3)
    assert gained == pytest.approx(slope * 699)
    [fault] = replace(FINE, gained=gained, slope=slope).faults()
    assert "bytes a second" in fault


def test_a_short_run_has_no_slope_that_means_anything() -> None:
    assert not replace(FINE, seconds=60.0, slope=100 * SLOPE).faults()
    assert replace(FINE, seconds=60.0, gained=float(GAIN)).faults()


def test_everything_that_must_not_be_is_a_fault() -> None:
    assert not FINE.faults()
    assert replace(FINE, descriptors=(12, 13)).faults() == ["1 descriptors were left behind"]
    assert not replace(FINE, descriptors=(12, 11)).faults()
    assert replace(FINE, more_descriptors=MORE_DESCRIPTORS).faults()
    assert replace(FINE, messages=0).faults()
    assert replace(FINE, deliveries=0).faults()


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="too few"):
        judge(samples(0.0, seconds=5), warm_up=3.0)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_deliveries_are_counted_however_they_are_cut(size: int) -> None:
    stream = b"\0\0\0\0" + b"\0\0\0\3abc" + b"\0\0\0\0\0\0\0\1x" + b"\0\0\0\5half"
    counted = Deliveries()
    assert sum(counted.feed(stream[at : at + size]) for at in range(0, len(stream), size)) == 4
