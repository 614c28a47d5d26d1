"""What was refused to whom, for the log: enough to see an attack by, and no flood of lines in one.

A refusal is noted where it is answered, and told once the answer is sent. The first of a kind is
told at once; what else is refused to the same actor and network within the second is counted, and
told in one line at its end (OWASP ASVS 5.0, 16.3 and 16.4).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog

__all__ = ["DENIALS", "DenialLog", "note_denial", "note_who"]

_log = structlog.get_logger("pss.security")

_EVENTS = {401: "credentials_refused", 403: "access_refused", 429: "limit_reached"}
"""The line that tells of a refusal, by its status."""
_REPLAYED = "replay_refused"
DENIALS = {*_EVENTS.values(), _REPLAYED}
"""The lines that there are."""
_REPLAYS = {"refresh-token-reused", "link-not-usable"}
"""What can be used once came again: RFC 9700, section 4.14.2."""
_EXPECTED = {
    "unauthorised", "token-expired", "session-ended", "sign-in-ended", "missing-permission",
    "outside-your-limits", "second-factor-required", "step-up-required", "sign-on-only",
    "people-only", "not-a-person", "own-account", "no-password",
}  # fmt: skip
"""What happens to honest callers every day: told for information, all else as a warning."""
_SECONDS = 1.0
_MOST = 200
"""Kinds that are told apart within a second; what comes beyond is counted together by its code."""
_WIDTHS = {4: 24, 6: 48}  # bits of an address that its owner has not chosen
_DENIAL, _WHO = "pss_denial", "pss_who"


@dataclass(frozen=True, slots=True)
class _Kind:
    """Refusals that are told together."""

    event: str
    code: str
    tenant: str | None
    actor: str | None
    network: str


def note_who(scope: Any, tenant: str, actor: str | None = None) -> None:
    """Remember who asks, as far as it is known by now: a tenant's code, an actor's label."""
    scope[_WHO] = (tenant, actor)


def note_denial(scope: Any, status: int, code: str) -> None:
    """Remember that the request was refused with this code, where that is a matter of security."""
    event = _REPLAYED if code in _REPLAYS else _EVENTS.get(status)
    if event is not None:
        scope[_DENIAL] = (event, code)


class DenialLog:
    """The lines about refusals of one process."""

    def __init__(self) -> None:
        self._further: dict[_Kind, int] = {}

    def tell(self, scope: Any) -> None:
        """Write or count the refusal that was noted, if there was one."""
        if _DENIAL not in scope:
            return
        event, code = scope[_DENIAL]
        tenant, actor = scope.get(_WHO, (None, None))
        address = str(scope.get("pss_client", ""))
        kind = _Kind(event, code, tenant, actor, _network(address))
        if kind not in self._further and len(self._further) >= _MOST:
            kind = _Kind(event, code, None, None, "many")
        if kind in self._further:
            self._further[kind] += 1
            return
        self._further[kind] = 0
        asyncio.get_running_loop().call_later(_SECONDS, self._tell_further, kind)
        _write(kind, tenant=tenant, actor=actor, address=address, request_id=_request(scope))

    def _tell_further(self, kind: _Kind) -> None:
        """At the end of the second: how many more there were."""
        times = self._further.pop(kind)
        if times:
            _write(kind, tenant=kind.tenant, actor=kind.actor, network=kind.network, times=times)


def _write(kind: _Kind, **facts: Any) -> None:
    expected = kind.code in _EXPECTED or kind.event == _EVENTS[429]
    level = logging.INFO if expected else logging.WARNING
    _log.log(level, kind.event, code=kind.code, **facts)


def _request(scope: Any) -> str:
    return str(scope.get("pss_request_id", ""))


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network(f"{address}/{_WIDTHS[version]}", strict=False))
