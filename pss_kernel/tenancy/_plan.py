"""From a tenant's folder to what runs: the difference, and making it so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import structlog

from pss_kernel.errors import Conflict, Invalid, TenantUnknown
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.identity.roles.changes import set_role
from pss_kernel.identity.roles.store import StoredRole, differs, stored_roles
from pss_kernel.plugin import TenantFiles
from pss_kernel.tenancy._changing import tenant_transaction
from pss_kernel.tenancy._enablement import ENDING, disable_plugin, enable_plugins
from pss_kernel.tenancy._file import InvalidTenant, TenantDefinition
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.tenancy._secret_settings import comparable
from pss_kernel.tenancy._tenant import IDENTITY
from pss_kernel.tenancy._twins import refuse_no_twin

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["Change", "Plan", "apply_tenant", "carry_out", "make_plan", "plan_tenant"]

_log = structlog.get_logger("pss.tenancy")
_LOADED = "SELECT plugin, name, digest FROM pss.tenant_file WHERE tenant = $1"
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


class ChangedFiles(NamedTuple):
    """Files of a tenant's folder that are to be loaded, and the digest of what they hold."""

    files: TenantFiles
    paths: list[Path]
    digest: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """The differences between a tenant's folder and what runs; ``files`` are to be loaded."""

    wanted: TenantDefinition
    changes: list[Change]
    files: list[ChangedFiles]


async def plan_tenant(installation: Installation, wanted: TenantDefinition) -> list[Change]:
    """What ``apply_tenant`` would do, in its order; empty when there is nothing to do."""
    return (await make_plan(installation, wanted)).changes


async def make_plan(installation: Installation, wanted: TenantDefinition) -> Plan:
    """Look for the differences, and check the files that would be loaded.

    Raises InvalidTenant with every error of those files; Invalid, Conflict.
    """
    tenant = _running(installation, wanted.code)
    identity = _identity_change(installation, tenant, wanted)
    changes = [identity] if identity else []
    enabled = tenant.enabled if tenant else frozenset()
    unwanted = _unwanted(installation, wanted, tenant)
    for name in installation.registry.closure([*wanted.plugins, IDENTITY]):
        if name == IDENTITY and tenant is None:
            continue  # it comes with the tenant
        if name not in enabled:
            changes.append(Change("enable", f"plugin {name}"))
        elif tenant and name in wanted.plugins:
            keys = _changed_settings(installation, tenant, name, wanted.plugins[name])
            if keys:
                changes.append(Change("change", f"settings of {name}", ", ".join(keys)))
    changes += [
        Change("disable", f"plugin {name}")
        for name in reversed(list(installation.registry.plugins))
        if name in unwanted
    ]
    changes += await _changed_roles(installation, wanted, tenant)
    checked = await _checked_files(installation, wanted, tenant)
    for files, paths, _ in checked:
        names = ", ".join(str(path.relative_to(wanted.folder)) for path in paths)
        changes.append(Change("load", f"{files.name} of {files.plugin}", names))
    return Plan(wanted, changes, checked)


def _unwanted(
    installation: Installation, wanted: TenantDefinition, tenant: Tenant | None
) -> set[str]:
    """What has been enabled, also half-way, or half-way disabled, and is not in the file."""
    states = tenant.plugins if tenant else {}
    there = {name for name, one in states.items() if one.state in ENDING}
    return there & installation.registry.plugins.keys() - {
        IDENTITY,
        *installation.registry.closure(wanted.plugins),
    }


def _running(installation: Installation, code: str) -> Tenant | None:
    try:
        return installation.directory.by_code(code)
    except TenantUnknown:
        return None


async def apply_tenant(
    installation: Installation,
    wanted: TenantDefinition,
    report: Report = lambda _what, _done, _total: None,
) -> list[Change]:
    """Make it so. Idempotent: what is already as the folder says is left alone."""
    return await carry_out(installation, await make_plan(installation, wanted), report)


async def carry_out(
    installation: Installation,
    plan: Plan,
    report: Report = lambda _what, _done, _total: None,
) -> list[Change]:
    """Do what a plan says; killed on the way, the next plan has what is left."""
    wanted, changes = plan.wanted, plan.changes
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
            strict_plugins=wanted.strict_plugins,
            test_of=wanted.test_of,
        )
        await enable_plugins(installation, wanted.code, dict(wanted.plugins))
        tenant = installation.directory.by_code(wanted.code)
        for name in _unwanted(installation, wanted, tenant):
            await disable_plugin(installation, wanted.code, name, cascade=True)
        await _set_roles(installation, wanted)
    said: dict[str, str] = {}
    for one in plan.files:
        what = f"{one.files.name} of {one.files.plugin}"
        said[what] = await _load(installation, wanted.code, one, report)
    return [msgspec.structs.replace(one, detail=said.get(one.what, one.detail)) for one in changes]


async def _load(
    installation: Installation,
    code: str,
    changed: ChangedFiles,
    report: Report,
) -> str:
    files, paths, digest = changed
    tenant = installation.directory.by_code(code)

    def progress(done: int, total: int) -> None:
        report(f"{files.name} of {code}", done, total)

    progress(0, 1)
    async with installation.unit_of_work(tenant, plugin=files.plugin) as uow:
        # A schedule of a season is more than one request's worth of work.
        await uow.hot("SELECT set_config('statement_timeout', '300000', true)")
        sentence: str = await files.load(uow, paths, progress)
    async with tenant_transaction(installation, code) as owner:
        await owner.execute(_REMEMBER, code, files.plugin, files.name, digest)
        names = [str(path.name) for path in paths]
        await audit_as_owner(
            *(owner, code, "tenant.files-loaded", f"{files.plugin}.{files.name}"),
            after={"files": names, "sha256": digest.hex()},
        )
    progress(1, 1)
    return sentence


async def _changed_roles(
    installation: Installation, wanted: TenantDefinition, tenant: Tenant | None
) -> list[Change]:
    """The roles of the file that differ; others that the tenant has made for itself stay."""
    there: dict[str, StoredRole] = {}
    if tenant is not None and wanted.roles and IDENTITY in tenant.enabled:
        async with installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            there = await stored_roles(uow)
    return [
        Change("change" if name in there else "create", f"role {name}", body.summary)
        for name, body in wanted.roles.items()
        if name not in there or differs(there[name], body)
    ]


async def _set_roles(installation: Installation, wanted: TenantDefinition) -> None:
    if not wanted.roles:
        return
    tenant = installation.directory.by_code(wanted.code)
    async with installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        for name, body in wanted.roles.items():
            await set_role(uow, name, body)
    await installation.directory.refresh()


async def _checked_files(
    installation: Installation, wanted: TenantDefinition, tenant: Tenant | None
) -> list[ChangedFiles]:
    """The changed files, when there is no error in any. Raises InvalidTenant with all errors."""
    changed = await _changed_files(installation, wanted, tenant)
    findings = [one for files, paths, _ in changed for path in paths for one in files.check(path)]
    if any(one.severity == "error" for one in findings):
        raise InvalidTenant(findings)
    for one in findings:
        _log.warning("tenant_file", finding=str(one))
    return changed


async def _changed_files(
    installation: Installation, wanted: TenantDefinition, tenant: Tenant | None
) -> list[ChangedFiles]:
    found = list(_files_of(installation, wanted))
    if not found or tenant is None:
        return found
    async with installation.cell(tenant).owner() as owner:
        rows = await owner.fetch(_LOADED, wanted.code)
    loaded = {(row["plugin"], row["name"]): row["digest"] for row in rows}
    return [one for one in found if loaded.get((one.files.plugin, one.files.name)) != one.digest]


def _files_of(installation: Installation, wanted: TenantDefinition) -> Iterator[ChangedFiles]:
    for name in installation.registry.closure(wanted.plugins):
        for files in installation.registry[name].files:
            paths = sorted(wanted.folder.glob(files.pattern))
            if not paths:
                continue
            digest = hashlib.sha256()
            for path in paths:
                digest.update(str(path.relative_to(wanted.folder)).encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            yield ChangedFiles(files, paths, digest.digest())


def _identity_change(
    installation: Installation, tenant: Tenant | None, wanted: TenantDefinition
) -> Change | None:
    if wanted.cell not in installation.cells:
        raise Invalid(
            f"There is no cell {wanted.cell!r} here.",
            code="unknown-cell",
            mend=f"Known are: {', '.join(installation.cells)}; see PSS_CELLS.",
        )
    if wanted.test_of is not None:
        refuse_no_twin(installation.directory.by_code(wanted.test_of))
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
        "strict_plugins": tenant.strict_plugins,
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
