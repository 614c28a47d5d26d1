"""A circuit breaker for one target of one tenant, in this process.

The states and when they change are purgatory's. It lets everybody through once the time of an
open circuit is over; here one call tries, and the others go on being refused until it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal

from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import CLOSED, HALF_OPENED, OPENED, OpenedState

from pss_kernel.outgoing._limits import CallLimits

__all__ = ["Circuit", "State"]

State = Literal["closed", "open", "half-open"]
_NAMES: dict[str, State] = {CLOSED: "closed", OPENED: "open", HALF_OPENED: "half-open"}


class Circuit:
    """Closed, open or half-open. For calls of an event loop and of threads alike.

    ``changed`` is told each new state.
    """

    def __init__(self, name: str, limits: CallLimits, changed: Callable[[State], None]) -> None:
        factory = SyncCircuitBreakerFactory(
            default_threshold=limits.failures, default_ttl=limits.open_seconds
        )
        self._breaker = factory.get_breaker(name)
        self._open_seconds: Final = limits.open_seconds
        self._changed = changed
        self._told: State = "closed"
        self._probing = False
        self._lock = threading.Lock()
        self.since = time.time()
        """When the state last changed, in seconds since 1970."""

    @property
    def state(self) -> State:
        """As the next call will find it."""
        context = self._breaker.context
        opened_at = context.opened_at
        if context.state == OPENED and opened_at is not None and self._over(opened_at):
            return "half-open"
        return _NAMES[context.state]

    def _over(self, opened_at: float) -> bool:
        return time.time() > opened_at + self._open_seconds

    @property
    def seconds_left(self) -> float:
        """Until a call is let through; 0 where one is."""
        opened_at = self._breaker.context.opened_at
        if self._breaker.context.state != OPENED or opened_at is None:
            return 0.0
        return max(0.0, opened_at + self._open_seconds - time.time())

    def admit(self) -> bool | None:
        """Whether this call tries a circuit that was open; None: it is refused."""
        with self._lock:
            try:
                self._breaker.__enter__()
            except OpenedState:
                return None
            if self._breaker.context.state != HALF_OPENED:
                return False
            if self._probing:
                return None
            self._probing = True
        self._tell()
        return True

    def settle(self, error: Exception | None, *, probe: bool) -> None:
        """How an admitted call ended."""
        with self._lock:
            if probe:
                self._probing = False
            elif self._breaker.context.state == HALF_OPENED:
                return  # begun before it opened; it says nothing of now
            if error is None:
                self._breaker.__exit__(None, None, None)
            else:
                self._breaker.__exit__(type(error), error, None)
        self._tell()

    def withdraw(self, *, probe: bool) -> None:
        """An admitted call was given up by its caller; nothing is known."""
        with self._lock:
            if probe:
                self._probing = False

    def _tell(self) -> None:
        state = _NAMES[self._breaker.context.state]
        if state != self._told:
            self._told, self.since = state, time.time()
            self._changed(state)
