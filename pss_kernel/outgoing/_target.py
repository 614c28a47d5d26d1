"""One target of one tenant: its limits, its room, its circuit, and what became of calls to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from pss_kernel.errors import UpstreamBusy, UpstreamOpen, UpstreamUnavailable
from pss_kernel.outgoing._circuit import Circuit, State
from pss_kernel.outgoing._limits import CallLimits
from pss_kernel.outgoing._room import Full, Room
from pss_kernel.outgoing._within import refuse_within_unit
from pss_kernel.resilience import seconds_left

__all__ = ["Counted", "NoAnswer", "Target"]

T = TypeVar("T")
Failures = tuple[type[Exception], ...]

_log = structlog.get_logger("pss.outgoing")
# Full jitter: anything up to a bound that doubles, so that those who failed together don't come
# back together (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
_backoff = wait_random_exponential(multiplier=0.1, max=2.0)
_ANSWERING = 0.05
"""Seconds of the caller's own time that are left for telling what became of the call."""


class NoAnswer(Exception):  # noqa: N818 - not an error yet: the next attempt may bring one
    """An attempt that brought nothing to go by; ``answer`` is what it brought all the same."""

    def __init__(
        self,
        reason: str,
        *,
        answer: object = None,
        retry_after: float = 0.0,
        failed: bool = True,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer
        self.retry_after = retry_after
        """Seconds that the other side has asked to be left alone for."""
        self.failed = failed
        """Whether it says that the other side is ill."""


@dataclass(slots=True)
class Counted:
    """What became of the calls to a target, in this process."""

    calls: int = 0
    failed: int = 0
    """Calls that brought no answer, or a server's error."""
    refused: int = 0
    """Calls that were not made: the circuit was open, or there was no room."""
    repeated: int = 0
    """Attempts beyond the first."""
    last_error: str = ""


class Target:
    """Whom a plugin calls for a tenant; made by ``Outgoing.target``."""

    def __init__(
        self, tenant: str, plugin: str, name: str, limits: CallLimits, note: Callable[[], None]
    ) -> None:
        self.tenant = tenant
        self.plugin = plugin
        self.name = name
        self.limits = limits
        self.counted = Counted()
        self.room = Room(limits.concurrent, limits.waiting)
        self.circuit = Circuit(f"{tenant}/{plugin}/{name}", limits, self._changed)
        self.used = time.monotonic()
        self._note = note

    @property
    def facts(self) -> dict[str, str]:
        """For log lines."""
        return {"tenant": self.tenant, "plugin": self.plugin, "target": self.name}

    @property
    def idle(self) -> bool:
        """Whether nothing is lost with it."""
        return not self.room.inside and not self.room.waiting and self.circuit.state == "closed"

    async def call(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        repeatable: bool = False,
        failures: Failures = (OSError,),
    ) -> T:
        """Do it within the limits; again, where it is ``repeatable`` and brings NoAnswer.

        ``failures`` count as NoAnswer. Raises UpstreamUnavailable, UpstreamOpen, UpstreamBusy.
        """
        refuse_within_unit(self.plugin, self.name)
        self._begun()
        own = seconds_left()
        limit = self.limits.total_seconds
        if own is not None:
            limit = min(limit, own - _ANSWERING)
        deadline = asyncio.get_running_loop().time() + limit
        last: list[NoAnswer] = []
        ill: Failures = (NoAnswer, *failures)

        async def once() -> T:
            return await self._once(attempt, deadline, ill, last)

        attempts = self.limits.attempts if repeatable else 1
        retrying = AsyncRetrying(**self._retrying(attempts, limit))
        try:
            async with asyncio.timeout_at(deadline) as waiting, self.room:
                waiting.reschedule(None)
                result: T = await retrying(once)
                return result
        except (Full, TimeoutError):
            raise self._busy() from None
        except (NoAnswer, UpstreamOpen) as error:
            given: T = self._given_up(last, error)
            return given
        finally:
            self._note()

    def call_blocking(
        self,
        attempt: Callable[[], T],
        *,
        repeatable: bool = False,
        failures: Failures = (OSError,),
    ) -> T:
        """The same for a client that blocks a thread; room and time are that client's matter."""
        self._begun()
        last: list[NoAnswer] = []
        ill: Failures = (NoAnswer, *failures)

        def once() -> T:
            probe = self._admitted()
            try:
                result = attempt()
            except ill as error:
                raise self._failed(error, last, probe=probe) from error
            except BaseException:
                self.circuit.withdraw(probe=probe)
                raise
            self.circuit.settle(None, probe=probe)
            return result

        attempts = self.limits.attempts if repeatable else 1
        retrying = Retrying(**self._retrying(attempts, self.limits.total_seconds))
        try:
            return retrying(once)
        except (NoAnswer, UpstreamOpen) as error:
            given: T = self._given_up(last, error)
            return given
        finally:
            self._note()

    async def _once(
        self,
        attempt: Callable[[], Awaitable[T]],
        deadline: float,
        ill: Failures,
        last: list[NoAnswer],
    ) -> T:
        probe = self._admitted()
        given = deadline - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(deadline):
                result = await attempt()
        except TimeoutError as error:
            # Somebody who had no time to wait has not found out that nobody answers.
            fair = given >= min(self.limits.connect_seconds, self.limits.total_seconds)
            late = NoAnswer("no answer in time", failed=fair)
            raise self._failed(late, last, probe=probe) from error
        except ill as error:
            raise self._failed(error, last, probe=probe) from error
        except BaseException:
            self.circuit.withdraw(probe=probe)
            raise
        self.circuit.settle(None, probe=probe)
        return result

    def _begun(self) -> None:
        self.used = time.monotonic()
        self.counted.calls += 1
        self._note()

    def _admitted(self) -> bool:
        probe = self.circuit.admit()
        if probe is None:
            self.counted.refused += 1
            raise UpstreamOpen(
                f"{self.name} has not answered for a while and is left alone for now.",
                mend=f"Try again in {self.circuit.seconds_left:.0f} s.",
            )
        return probe

    def _failed(self, error: Exception, last: list[NoAnswer], *, probe: bool) -> NoAnswer:
        """Count a failed attempt, and give it as what it is."""
        unanswered = error if isinstance(error, NoAnswer) else NoAnswer(type(error).__name__)
        if unanswered.failed:
            self.counted.last_error = unanswered.reason
            self.circuit.settle(error, probe=probe)
        elif unanswered.answer is not None:
            self.circuit.settle(None, probe=probe)
        else:
            self.circuit.withdraw(probe=probe)
        last.append(unanswered)
        return unanswered

    def _given_up(self, last: list[NoAnswer], error: Exception) -> Any:
        """The last answer, such as it is; without one, raise."""
        if not last:
            raise error
        unanswered = last[-1]
        self.counted.failed += unanswered.failed
        _log.warning("outgoing_failed", reason=unanswered.reason, attempts=len(last), **self.facts)
        if unanswered.answer is not None:
            return unanswered.answer
        raise UpstreamUnavailable(
            f"{self.name} gave no answer ({unanswered.reason})."
        ) from unanswered

    def _busy(self) -> UpstreamBusy:
        self.counted.refused += 1
        self.counted.last_error = "no room"
        _log.warning("outgoing_no_room", inside=self.room.inside, **self.facts)
        return UpstreamBusy(f"As many calls to {self.name} are under way as may be at once.")

    def _retrying(self, attempts: int, seconds: float) -> dict[str, Any]:
        enough = stop_after_attempt(attempts) | stop_before_delay(seconds)

        def again(_state: RetryCallState) -> None:
            self.counted.repeated += 1

        return {
            "retry": retry_if_exception_type(NoAnswer),
            "stop": lambda state: enough(state) or self.circuit.state == "open",
            "wait": _pause,
            "before_sleep": again,
            "reraise": True,
        }

    def _changed(self, state: State) -> None:
        """Tell of a circuit's new state."""
        event = {
            "open": "outgoing_opened",
            "half-open": "outgoing_half_open",
            "closed": "outgoing_closed",
        }[state]
        tell = _log.warning if state == "open" else _log.info
        tell(event, reason=self.counted.last_error or None, **self.facts)
        self._note()


def _pause(state: RetryCallState) -> float:
    """Seconds until the next attempt: as asked for (RFC 9110, section 10.2.3), or a random time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, NoAnswer) else 0.0
    return max(asked, _backoff(state))
