"""Counting what each plugin does at each tenant, in this process, over a sliding window.

The window is kept as two counts, the running one and the one before; what is recent is the first
and that part of the second which the window still covers. So a meter costs the same few hundred
bytes whatever happens, and a count is one addition.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final

from pss_kernel.config import KERNEL
from pss_kernel.errors import PluginBusy

if TYPE_CHECKING:
    from pss_kernel.config import Config

__all__ = ["Counts", "Limits", "Meter", "Meters"]

_MOST_METERS = 20_000
_WAIT_SECONDS = 10.0  # as long as for a connection of the pool
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plugin may do at one tenant before it is quarantined there; see ``Config``."""

    window: float
    failures: int
    share: float
    timeouts: int
    leaks: int
    database_seconds: float
    slow_call_seconds: float
    units: int
    """Units of work that may be open at once."""

    @classmethod
    def of(cls, config: Config) -> Limits:
        """As configured."""
        return cls(
            window=config.plugin_window_seconds,
            failures=config.plugin_failures,
            share=config.plugin_failure_share,
            timeouts=config.plugin_timeouts,
            leaks=config.plugin_leaks,
            database_seconds=config.plugin_database_seconds,
            slow_call_seconds=config.plugin_slow_call_seconds,
            units=max(1, int(config.pool_size * config.plugin_pool_share)),
        )


@dataclass(slots=True)
class Counts:
    """What was counted in a window; times in seconds."""

    calls: float = 0
    failures: float = 0
    timeouts: float = 0
    leaks: float = 0
    seconds: float = 0.0
    late_seconds: float = 0.0
    """Of ``seconds``, those of calls that took longer than their budget."""
    database_seconds: float = 0.0

    def plus(self, other: Counts, share: float) -> Counts:
        """These and a share of others."""
        return Counts(
            self.calls + share * other.calls,
            self.failures + share * other.failures,
            self.timeouts + share * other.timeouts,
            self.leaks + share * other.leaks,
            self.seconds + share * other.seconds,
            self.late_seconds + share * other.late_seconds,
            self.database_seconds + share * other.database_seconds,
        )


class Meter:
    """The counts of one plugin at one tenant."""

    __slots__ = (
        "_before",
        "_began",
        "_failed",
        "_window",
        "counts",
        "open_units",
        "since",
        "units",
    )

    def __init__(self, window: float, units: int) -> None:
        self._window = window
        self._began = time.monotonic()
        self._before = Counts()
        self._failed: set[object] = set()
        self.counts = Counts()
        self.open_units = 0
        self.units = asyncio.Semaphore(units)
        self.since: object = None
        """Since when the plugin's state holds that these counts are about."""

    def current(self) -> Counts:
        """The running counts, to add to."""
        age = time.monotonic() - self._began
        if age >= self._window:
            one_window_ago = age < 2 * self._window
            self._before = self.counts if one_window_ago else Counts()
            self._began += self._window if one_window_ago else age
            self.counts = Counts()
            self._failed.clear()
        return self.counts

    def recent(self) -> Counts:
        """What was counted within the window that ends now."""
        counts = self.current()
        covered = 1.0 - (time.monotonic() - self._began) / self._window
        return counts.plus(self._before, max(0.0, covered))

    def failed(self, subject: object = None) -> None:
        """Count a failure; one about the same subject (an event that is tried again) only once."""
        counts = self.current()
        if subject is not None:
            if subject in self._failed:
                return
            if len(self._failed) < _REMEMBERED:
                self._failed.add(subject)
        counts.failures += 1

    def forget(self) -> None:
        """Begin anew, as after a release from quarantine."""
        self._began = time.monotonic()
        self._before = Counts()
        self.counts = Counts()
        self._failed.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing is left that a new meter would not have as well."""
        return self.open_units == 0 and time.monotonic() - self._began > 2 * self._window


class Meters:
    """The meters of a process; those of what is not in use are dropped when there are many."""

    def __init__(self, limits: Limits) -> None:
        self.limits: Final = limits
        self._meters: dict[tuple[str, str], Meter] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._meters)

    def of(self, tenant: str, plugin: str) -> Meter:
        """The meter of a plugin at the tenant with that code."""
        meter = self._meters.get((tenant, plugin))
        if meter is None:
            if len(self._meters) >= _MOST_METERS:
                self._make_room()
            meter = Meter(self.limits.window, self.limits.units)
            self._meters[tenant, plugin] = meter
        return meter

    def _make_room(self) -> None:
        idle = [key for key, one in self._meters.items() if one.idle]
        unused = (key for key, one in self._meters.items() if one.open_units == 0)
        for key in idle or [key for key, _ in zip(unused, range(_MOST_METERS // 10), strict=False)]:
            del self._meters[key]

    def unit(self, tenant: str, plugin: str) -> OpenUnit:
        """Room for one more unit of work; the kernel's own are not limited."""
        return OpenUnit(None if plugin == KERNEL else self.of(tenant, plugin), plugin)


class OpenUnit:
    """Held while a unit of work is open, so that no plugin takes the whole pool for one tenant."""

    __slots__ = ("_meter", "_plugin")

    def __init__(self, meter: Meter | None, plugin: str) -> None:
        self._meter = meter
        self._plugin = plugin

    async def __aenter__(self) -> None:
        """Wait for room as long as for a connection. Raises PluginBusy."""
        meter = self._meter
        if meter is None:
            return
        if meter.units.locked():
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    await meter.units.acquire()
            except TimeoutError:
                raise PluginBusy(
                    f"The plugin {self._plugin!r} has as many units of work open here as it may."
                ) from None
        else:
            await meter.units.acquire()
        meter.open_units += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the next one in."""
        if self._meter is not None:
            self._meter.open_units -= 1
            self._meter.units.release()
