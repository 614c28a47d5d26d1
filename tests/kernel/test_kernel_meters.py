"""What is counted of a plugin: over a sliding window, in bounded memory, judged by the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pss_kernel.config import Config
from pss_kernel.resilience import Counts, Limits, Meters
from pss_kernel.resilience._breaker import reason_for

_LIMITS = Limits.of(Config(data_dir=Path()))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that the test sets: ``clock.now``."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            """As ``time.monotonic``."""
            return self.now

    made = Clock()
    monkeypatch.setattr("pss_kernel.resilience._meter.time", made)
    return made


def test_a_window_that_slides(clock: Any) -> None:
    """What was counted fades out over the window that follows, and is then forgotten."""
    meter = Meters(_LIMITS).of("a", "notes")
    meter.current().calls += 60
    assert 60 == meter.recent().calls
    seen = []
    for _ in range(4):
        clock.now += 30
        seen.append(round(meter.recent().calls))
    assert [60, 60, 30, 0] == seen
    clock.now += 600
    meter.current().calls += 1
    assert 1 == meter.recent().calls


def test_one_subject_counts_once(clock: Any) -> None:
    """In a window, what is tried again fails once; the next window begins anew."""
    meter = Meters(_LIMITS).of("a", "notes")
    for subject in ("x", "x", "y", None, None):
        meter.failed(subject)
    assert 4 == meter.recent().failures
    clock.now += 120
    meter.failed("x")
    assert 1 == meter.recent().failures


def test_memory_is_bounded(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle meters are dropped when there are many; one with an open unit of work stays."""
    monkeypatch.setattr("pss_kernel.resilience._meter._MOST_METERS", 100)
    meters = Meters(_LIMITS)
    held = meters.of("held", "notes")
    held.open_units = 1
    for number in range(1000):
        meters.of(f"t{number}", "notes")
        clock.now += 1
    assert len(meters) <= 100
    assert held is meters.of("held", "notes")


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        (Counts(calls=1000, failures=9), None),
        (Counts(calls=20, failures=10), "10 of 20 calls failed within 60 s."),
        (Counts(calls=21, failures=10), None),
        (Counts(calls=900, timeouts=4, seconds=80, late_seconds=80), None),
        (
            Counts(calls=900, timeouts=5, seconds=199, late_seconds=100),
            "5 calls took longer than their budget within 60 s.",
        ),
        (Counts(calls=900, timeouts=5, seconds=201, late_seconds=100), None),
        (Counts(calls=9, leaks=5), "5 units of work were left open within 60 s."),
        (
            Counts(calls=100, database_seconds=121),
            "100 calls used 121.0 s of the database's time within 60 s.",
        ),
        (Counts(calls=5000, database_seconds=400), None),  # busy, and quick
    ],
)
def test_reasons(counts: Counts, why: str | None) -> None:
    """Each limit by itself, with the number that was too much in the sentence."""
    assert why == reason_for(counts, _LIMITS)


def test_limits_of_nothing() -> None:
    """A limit of 0 is none."""
    never = Config(
        data_dir=Path(),
        plugin_failures=0,
        plugin_timeouts=0,
        plugin_leaks=0,
        plugin_database_seconds=0,
    )
    everything = Counts(10, 10, 10, 10, 100.0, 100.0, 1000.0)
    assert reason_for(everything, Limits.of(never)) is None


def test_a_share_of_a_small_pool() -> None:
    """There is always room for one."""
    small = Config(data_dir=Path(), pool_size=1, plugin_pool_share=0.1)
    assert 1 == Limits.of(small).units
