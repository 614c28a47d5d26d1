"""What the installed code brings, and what each tenant's tables lack of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pss_kernel._version import __version__
from pss_kernel.errors import Invalid
from pss_kernel.persistence._migrations import Revision, knows, pending, revisions_of
from pss_kernel.registry import Registry
from pss_kernel.tenancy._tables import KERNEL_MIGRATIONS
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["LIVE", "Batch", "Catalogue", "behind", "chosen", "note_versions"]

LIVE = ("enabled", "quarantined")
"""The states in which a plugin's tables are kept up to date; enabling does it for the others."""

_VERSIONS = """
UPDATE pss.tenant_plugin p SET version = i.version
FROM unnest($1::text[], $2::text[], $3::text[]) AS i(plugin, version, head)
WHERE p.plugin = i.plugin AND p.state = ANY($4) AND p.revision IS NOT DISTINCT FROM i.head
  AND p.version IS DISTINCT FROM i.version AND ($5::text[] IS NULL OR p.tenant = ANY($5))
"""

Batch = dict[str, tuple[Revision, ...]]
"""Revisions to apply, oldest first, by plugin, those that others need first."""


class Catalogue:
    """The revisions of the installed plugins, and of the kernel itself, or of a choice of them."""

    def __init__(self, registry: Registry, only: Iterable[str] | None = None) -> None:
        self.registry = registry
        wanted = None if only is None else {_checked(registry, name) for name in only}
        folders = {KERNEL: KERNEL_MIGRATIONS} | {
            name: registry.migrations_of(name) for name in registry.plugins
        }
        self.folders = {
            name: folder for name, folder in folders.items() if wanted is None or name in wanted
        }
        versions = {name: plugin.version for name, plugin in registry.plugins.items()}
        self.versions = {name: ({KERNEL: __version__} | versions)[name] for name in self.folders}
        self.heads = {name: _head(folder) for name, folder in self.folders.items()}

    @property
    def installed(self) -> dict[str, str]:
        """Each plugin's version and newest revision: what a run brings."""
        return {name: f"{self.versions[name]} {self.heads[name]}" for name in self.folders}

    def revisions(self, plugin: str) -> tuple[Revision, ...]:
        """All of a plugin's, oldest first."""
        return revisions_of(self.folders[plugin])

    def ahead(self, plugin: str, revision: str | None) -> bool:
        """Whether tables at that revision are newer than the installed code."""
        return not knows(self.folders[plugin], revision)

    def lacking(self, ledger: Mapping[str, str | None]) -> Batch:
        """All that is pending, given the revision at which each plugin's tables are."""
        return {
            name: waiting
            for name, folder in self.folders.items()
            if name in ledger and (waiting := pending(folder, ledger[name]))
        }

    def next_batch(self, ledger: Mapping[str, str | None]) -> Batch:
        """What can go together in one transaction now."""
        heads = {
            name: tuple(itertools.takewhile(lambda one: not one.concurrent, waiting))
            for name, waiting in self.lacking(ledger).items()
        }
        return {name: waiting for name, waiting in heads.items() if waiting}

    def next_concurrent(self, ledger: Mapping[str, str | None]) -> tuple[str, Revision] | None:
        """The next revision that can't run in a transaction, where one is next."""
        for name, waiting in self.lacking(ledger).items():
            if waiting[0].concurrent:
                return name, waiting[0]
        return None


def behind(installation: Installation, catalogue: Catalogue) -> dict[Tenant, Batch]:
    """Each tenant with something pending. One that is being moved or deleted is left alone."""
    found = {}
    for tenant in installation.directory:
        if tenant.placement == "active":
            ledger = {
                name: one.revision for name, one in tenant.plugins.items() if one.state in LIVE
            }
            lacking = catalogue.lacking(ledger)
            if lacking:
                found[tenant] = lacking
    return found


async def note_versions(
    installation: Installation, catalogue: Catalogue, codes: Iterable[str] | None
) -> None:
    """Write down the installed version where a plugin's tables need nothing for it."""
    wanted = None if codes is None else list(codes)
    names = list(catalogue.folders)
    for cell in {tenant.cell for tenant in installation.directory}:  # not one that is away
        async with installation.cells[cell].owner() as owner:
            await owner.execute(
                _VERSIONS,
                names,
                [catalogue.versions[name] for name in names],
                [catalogue.heads[name] for name in names],
                list(LIVE),
                wanted,
            )


def chosen(
    installation: Installation, waiting: dict[Tenant, Batch], codes: Iterable[str] | None
) -> dict[Tenant, Batch]:
    """Those of the named tenants. Raises TenantUnknown."""
    if codes is None:
        return waiting
    tenants = {installation.directory.by_code(code) for code in codes}
    return {tenant: batch for tenant, batch in waiting.items() if tenant in tenants}


def _head(folder: Path) -> str | None:
    every = revisions_of(folder)
    return every[-1].revision if every else None


def _checked(registry: Registry, name: str) -> str:
    if name == KERNEL:
        return name
    if name in registry.plugins:
        return registry[name].name
    raise Invalid(
        f"The plugin {name!r} is not installed.",
        code="unknown-plugin",
        mend=f"Installed are: {', '.join([KERNEL, *registry.plugins])}.",
    )
