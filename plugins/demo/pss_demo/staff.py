"""What the demonstration needs of the installation itself: staff keys, and two settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from pss_kernel.auth import create_api_key
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.registry import Registry

__all__ = ["StaffFacts", "staff_facts"]

_SCOPES = [
    "inventory:read",
    "inventory:manage",
    "boarding:board",
    "boarding:read",
    "payment:read",
]
_KEY_LASTS = timedelta(hours=1)


class StaffFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A key for the staff's steps, and when check-in and the kitchen close."""

    key: str
    opens_hours: int
    closes_minutes: int
    service_hours: int
    """Extras are ordered until so many hours before departure; 0 without a kitchen."""


async def staff_facts(
    config: Config, registry: Registry, codes: list[str]
) -> dict[str, StaffFacts]:
    """For each airline, by its code. Raises TenantUnknown and Unavailable."""
    async with open_installation(config, registry) as installation:
        return {code: await _of(installation, code) for code in codes}


async def _of(installation: Installation, code: str) -> StaffFacts:
    tenant = installation.directory.by_code(code)
    async with installation.cell(tenant).owner() as owner:
        key = await create_api_key(
            owner,
            tenant=code,
            name="pss demo",
            scopes=_SCOPES,
            expires_at=datetime.now(UTC) + _KEY_LASTS,
        )
    return StaffFacts(
        key=key,
        opens_hours=_setting(installation, code, "dcs", "check_in_opens_hours"),
        closes_minutes=_setting(installation, code, "dcs", "check_in_closes_minutes"),
        service_hours=(
            _setting(installation, code, "meals", "closes_hours")
            if "meals" in tenant.enabled
            else 0
        ),
    )


def _setting(installation: Installation, code: str, plugin: str, name: str) -> int:
    tenant = installation.directory.by_code(code)
    declared = installation.registry[plugin].settings
    value: int = getattr(installation.settings_of(tenant, declared), name)
    return value
