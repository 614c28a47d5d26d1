"""What a tenant has set about its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.limits._classes import RateLimits
    from pss_kernel.tenancy import Tenant

__all__ = ["limits_of"]


def limits_of(installation: Installation, tenant: Tenant) -> RateLimits:
    """The tenant's limits, as set or by default; decoded once for each change."""
    # The settings have the limits as a field.
    from pss_kernel.identity.settings import IdentitySettings  # noqa: PLC0415

    return installation.settings_of(tenant, IdentitySettings).limits
