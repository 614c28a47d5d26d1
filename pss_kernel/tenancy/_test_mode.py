"""Test mode: a tenant's test data is a tenant of its own, its twin.

The twin of ``CODE`` is ``CODE_test``: a schema, a database role, accounts, keys, an event log and
an audit trail of its own, so that nothing that is tried out touches what is real. No other tenant
may have such a code, so what a twin belongs to can be read off its code; the database checks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.errors import Conflict, Forbidden, Invalid, TenantUnknown
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.tenancy._secret_settings import SEALED
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL
from pss_kernel.tenancy._twins import refuse_no_twin, twin_code, twin_name

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy._directory import Directory
    from pss_kernel.tenancy._file import TenantDefinition
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["admitted_to", "enable_test_mode", "twin_of", "twin_of_definition"]


def twin_of(directory: Directory, tenant: Tenant) -> Tenant | None:
    """The tenant's test data; of a twin itself, the twin. None where test mode isn't enabled."""
    if tenant.test_of is not None:
        return tenant
    try:
        found = directory.by_code(twin_code(tenant.code))
    except TenantUnknown:
        return None
    return found if found.test_of == tenant.code else None


def admitted_to(directory: Directory, named: Tenant, owner: str) -> Tenant:
    """Where credentials of the tenant ``owner`` lead, in a request that names ``named``.

    To the tenant itself; those of a twin, also where the tenant is named whose twin it is.
    Raises Forbidden for all others: those of a live tenant never lead to its twin.
    """
    if owner == named.code:
        return named
    if owner == twin_code(named.code):
        twin = twin_of(directory, named)
        if twin is not None:
            return twin
    if named.test_of == owner:
        raise Forbidden(
            "Live credentials don't open test data.",
            code="wrong-mode",
            mend="Use a test key; or leave the header PSS-Tenant out, or name the tenant itself.",
        )
    raise Forbidden("These credentials belong to another tenant.", code="wrong-tenant")


async def enable_test_mode(installation: Installation, code: str) -> Tenant:
    """Make the twin of a running tenant: the same plugins and settings, and no data; idempotent.

    Settings that are secrets stay behind, and what a twin has enabled already keeps its settings.
    Raises TenantUnknown, Invalid for a twin, Conflict where a plugin can't be had without its
    secrets.
    """
    tenant = installation.directory.by_code(code)
    refuse_no_twin(tenant)
    twin = await create_tenant(
        installation,
        twin_code(code),
        name=twin_name(tenant.name),
        currency=tenant.currency,
        time_zone=tenant.time_zone,
        locales=tenant.locales,
        brand=tenant.brand,
        cell=tenant.cell,
        strict_plugins=tenant.strict_plugins,
        test_of=code,
    )
    missing = tenant.enabled - twin.enabled - {KERNEL, IDENTITY}
    settings = {name: _without_secrets(tenant.plugins[name].settings) for name in missing}
    try:
        await enable_plugins(installation, twin.code, dict(settings))
    except Invalid as error:
        raise Conflict(
            f"{twin.code!r} can't have all plugins of {code!r}: {error.sentence}",
            code="test-mode-needs-settings",
            mend="Secrets are not copied: use 'pss tenant apply FOLDER --test', or enable the "
            f"plugin with test credentials: pss plugin enable … --tenant {twin.code}.",
            errors=error.errors,
        ) from error
    return installation.directory.by_code(twin.code)


def twin_of_definition(wanted: TenantDefinition) -> TenantDefinition:
    """What a folder describes, for the twin: marked in its name, at no host name of its own."""
    return msgspec.structs.replace(
        wanted,
        code=twin_code(wanted.code),
        name=twin_name(wanted.name),
        domains=[],
        test_of=wanted.code,
    )


def _without_secrets(settings: Any) -> Any:
    if isinstance(settings, dict):
        return {
            name: _without_secrets(value)
            for name, value in settings.items()
            if not (isinstance(value, dict) and SEALED in value)
        }
    if isinstance(settings, list):
        return [_without_secrets(value) for value in settings]
    return settings
