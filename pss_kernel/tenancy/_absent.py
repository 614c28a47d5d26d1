"""Plugins that tenants have enabled and that can't be used on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from pss_kernel.errors import Invalid
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["AbsentPlugin", "plugins_absent", "refuse_absent", "report_absent"]

_log = structlog.get_logger("pss.plugins")
_SERVING = {"enabling", "enabled", "disabling", "quarantined"}
_NAMED = 5


@dataclass(frozen=True, slots=True)
class AbsentPlugin:
    """A plugin that is enabled but not usable here: why, for whom, and what to do about it."""

    name: str
    reason: str
    mend: str
    tenants: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The whole in plain words; of many tenants, the first few."""
        more = len(self.tenants) - _NAMED
        whose = ", ".join(self.tenants[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{self.name!r} is enabled for {whose}. {self.reason} {self.mend}"


def plugins_absent(installation: Installation) -> list[AbsentPlugin]:
    """What tenants miss here; the rest of the system serves without it."""
    registry = installation.registry
    missing: dict[str, list[str]] = {}
    for tenant in installation.directory:
        for name, state in tenant.plugins.items():
            if name != KERNEL and state.state in _SERVING and name not in registry.plugins:
                missing.setdefault(name, []).append(tenant.code)
    broken = {one.name: one for one in registry.broken}
    found = []
    for name, codes in sorted(missing.items()):
        if name in broken:
            reason, mend = broken[name].reason, broken[name].mend
        else:
            reason = "It is not installed on this machine."
            mend = (
                "Install the distribution that brings it, or end it with "
                f"'pss plugin disable {name} --tenant {codes[0]}'."
            )
        found.append(AbsentPlugin(name, reason, mend, tuple(codes)))
    return found


def report_absent(installation: Installation) -> None:
    """Log what tenants miss here; their events wait, everything else goes on."""
    for one in plugins_absent(installation):
        _log.error(
            "plugin_absent",
            plugin=one.name,
            tenants=len(one.tenants),
            reason=one.reason,
            mend=one.mend,
        )


def refuse_absent(installation: Installation) -> None:
    """Raises Invalid where a tenant has enabled what can't be used here."""
    absent = plugins_absent(installation)
    if absent:
        raise Invalid(
            "Some enabled plugins can't be used here: " + " ".join(one.sentence for one in absent),
            code="absent-plugins",
        )
