"""From a tenant's folder to what runs: the difference, and making it so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog

from pss_kernel.errors import Conflict, Invalid
from pss_kernel.plugin import TenantFiles
from pss_kernel.tenancy._file import InvalidTenant, TenantDefinition
from pss_kernel.tenancy._provision import KERNEL, create_tenant, disable_plugin, enable_plugins
from pss_kernel.tenancy._secret_settings import comparable

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["Change", "apply_tenant", "plan_tenant"]

_log = structlog.get_logger("pss.tenancy")
_LOADED = "SELECT digest FROM pss.tenant_file WHERE tenant = $1 AND plugin = $2 AND name = $3"
_REMEMBER = """
INSERT INTO pss.tenant_file (tenant, plugin, name, digest) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, plugin, name) DO UPDATE SET digest = excluded.digest, loaded_at = now()
"""

Report = Callable[[str, int, int], None]
"""Told what is being loaded, how much of it is done, and of how much."""


class Change(msgspec.Struct, frozen=True):
    """One difference between the folder and what runs."""

    action: Literal["create", "change", "enable", "disable", "load"]
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.what}" + (f": {self.detail}" if self.detail else "")


async def plan_tenant(installation: Installation, wanted: TenantDefinition) -> list[Change]:
    """What ``apply_tenant`` would do, in its order; empty when there is nothing to do."""
    tenants = {tenant.code: tenant for tenant in installation.directory}
    tenant = tenants.get(wanted.code)
    identity = _identity_change(installation, tenant, wanted)
    changes = [identity] if identity else []
    enabled = tenant.enabled - {KERNEL} if tenant else frozenset()
    for name in installation.registry.closure(wanted.plugins):
        if name not in enabled:
            changes.append(Change("enable", f"plugin {name}"))
        elif tenant and name in wanted.plugins:
            keys = _changed_settings(installation, tenant, name, wanted.plugins[name])
            if keys:
                changes.append(Change("change", f"settings of {name}", ", ".join(keys)))
    changes += [
        Change("disable", f"plugin {name}")
        for name in reversed(list(installation.registry.plugins))
        if name in enabled and name not in installation.registry.closure(wanted.plugins)
    ]
    for files, paths, _ in await _checked_files(installation, wanted):
        names = ", ".join(str(path.relative_to(wanted.folder)) for path in paths)
        changes.append(Change("load", f"{files.name} of {files.plugin}", names))
    return changes


async def apply_tenant(
    installation: Installation,
    wanted: TenantDefinition,
    report: Report = lambda _what, _done, _total: None,
) -> list[Change]:
    """Make it so. Idempotent: what is already as the folder says is left alone."""
    changes = await plan_tenant(installation, wanted)
    if any(change.action != "load" for change in changes):
        await create_tenant(
            installation,
            wanted.code,
            name=wanted.name,
            currency=wanted.currency,
            time_zone=wanted.time_zone,
            locales=wanted.locales,
            brand=wanted.brand,
            domains=wanted.domains,
            cell=wanted.cell,
        )
        await enable_plugins(installation, wanted.code, dict(wanted.plugins))
        wished = installation.registry.closure(wanted.plugins)
        for name in installation.directory.by_code(wanted.code).enabled - {KERNEL, *wished}:
            if name in installation.registry.plugins:
                await disable_plugin(installation, wanted.code, name, cascade=True)
    said: dict[str, str] = {}
    for files, paths, digest in await _changed_files(installation, wanted):
        said[f"{files.name} of {files.plugin}"] = await _load(
            installation, wanted.code, files, paths, digest, report
        )
    return [msgspec.structs.replace(one, detail=said.get(one.what, one.detail)) for one in changes]


async def _load(
    installation: Installation,
    code: str,
    files: TenantFiles,
    paths: list[Path],
    digest: bytes,
    report: Report,
) -> str:
    tenant = installation.directory.by_code(code)

    def progress(done: int, total: int) -> None:
        report(f"{files.name} of {code}", done, total)

    progress(0, 1)
    async with installation.unit_of_work(tenant, plugin=files.plugin) as uow:
        # A schedule of a season is more than one request's worth of work.
        await uow.hot("SELECT set_config('statement_timeout', '300000', true)")
        sentence: str = await files.load(uow, paths, progress)
    async with installation.cell(tenant).owner() as owner:
        await owner.execute(_REMEMBER, code, files.plugin, files.name, digest)
    progress(1, 1)
    return sentence


async def _checked_files(
    installation: Installation, wanted: TenantDefinition
) -> list[tuple[TenantFiles, list[Path], bytes]]:
    """The changed files, when there is no error in any. Raises InvalidTenant with all errors."""
    changed = await _changed_files(installation, wanted)
    findings = [one for files, paths, _ in changed for path in paths for one in files.check(path)]
    if any(one.severity == "error" for one in findings):
        raise InvalidTenant(findings)
    for one in findings:
        _log.warning("tenant_file", finding=str(one))
    return changed


async def _changed_files(
    installation: Installation, wanted: TenantDefinition
) -> list[tuple[TenantFiles, list[Path], bytes]]:
    changed = []
    cell = await installation.directory.cell_of(wanted.code) or wanted.cell
    async with installation.cells[cell].owner() as owner:
        for name in installation.registry.closure(wanted.plugins):
            for files in installation.registry[name].files:
                paths = sorted(wanted.folder.glob(files.pattern))
                if not paths:
                    continue
                digest = hashlib.sha256()
                for path in paths:
                    digest.update(str(path.relative_to(wanted.folder)).encode() + b"\0")
                    digest.update(hashlib.sha256(path.read_bytes()).digest())
                known = await owner.fetchval(_LOADED, wanted.code, name, files.name)
                if known != digest.digest():
                    changed.append((files, paths, digest.digest()))
    return changed


def _identity_change(
    installation: Installation, tenant: Tenant | None, wanted: TenantDefinition
) -> Change | None:
    if wanted.cell not in installation.cells:
        raise Invalid(
            f"There is no cell {wanted.cell!r} here.",
            code="unknown-cell",
            mend=f"Known are: {', '.join(installation.cells)}; see PSS_CELLS.",
        )
    if tenant is None:
        return Change("create", f"tenant {wanted.code}", wanted.name)
    if tenant.cell != wanted.cell:
        raise Conflict(
            f"The tenant {wanted.code!r} lives in the cell {tenant.cell!r}, not {wanted.cell!r}.",
            code="cell-fixed",
            mend="Correct 'cell' in its tenant.toml, or move it there with 'pss tenant move'.",
        )
    running = {
        "name": tenant.name,
        "currency": tenant.currency,
        "time_zone": tenant.time_zone,
        "locales": list(tenant.locales),
        "domains": sorted(tenant.domains),
        "brand": tenant.brand,
    }
    described = {name: getattr(wanted, name) for name in running}
    described["domains"] = sorted(domain.lower() for domain in wanted.domains)
    keys = _different(running, described)
    if "currency" in keys:
        raise Conflict(
            f"The currency of {wanted.code!r} is {tenant.currency}; it can't become "
            f"{wanted.currency}: what was filed and sold is in {tenant.currency}.",
            code="currency-fixed",
            mend="Make a tenant of its own for the other currency.",
        )
    return Change("change", f"tenant {wanted.code}", ", ".join(keys)) if keys else None


def _changed_settings(
    installation: Installation, tenant: Tenant, name: str, wanted: dict[str, Any]
) -> list[str]:
    """The settings that differ; what the file says nothing of differs, unless it is a secret."""
    stored = tenant.plugins[name].settings
    kind = installation.registry[name].settings
    keys = partial(installation.keyring.of, tenant)
    return _different(stored, comparable(wanted, stored, kind, name, keys))


def _different(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
