"""A tenant from an export, in another installation or another cell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pss_kernel.config import CONTROL_CELL
from pss_kernel.errors import Conflict, Invalid
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.leaving._alone import alone, changing
from pss_kernel.leaving._drop import drop_contents, drop_everywhere
from pss_kernel.leaving._export import ENVELOPES, OUTBOXES, Report
from pss_kernel.leaving._format import Column, Manifest, TableFile, columns_of, copy_line
from pss_kernel.leaving._import_checks import (
    check_contents,
    check_tables,
    loadable,
    readable,
)
from pss_kernel.leaving._revisions import folder_of
from pss_kernel.leaving._sealed_import import check_keys
from pss_kernel.leaving._verify import faults_of
from pss_kernel.persistence._migrations import knows, pending
from pss_kernel.tenancy._contents import (
    TenantTable,
    build_tables,
    copy_in,
    fingerprint,
    set_sequences,
    tables_of,
)
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._platform import refuse_platform
from pss_kernel.tenancy._provision import CODE, CREATE, JOIN
from pss_kernel.tenancy._rights import grant_identity, grant_plugins
from pss_kernel.tenancy._tenant import KERNEL
from pss_kernel.tenancy._twins import live_code

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["import_tenant"]

Row = dict[str, Any]
# Numbers, leases and attempts are the relay's of one installation: here they begin anew.
_OUTBOX_KEEPS = {"queue", "payload", "headers", "created_at", "timer_id"}
_NOT_AS_ANOTHER = {"api_key", "api_key_use"}
"""Control tables whose rows can't be had by two tenants."""

_RESERVE = """
INSERT INTO pss.placement (tenant, cell, state) VALUES ($1, $2, 'importing')
ON CONFLICT (tenant) DO UPDATE SET cell = excluded.cell, changed_at = now()
  WHERE placement.state = 'importing'
RETURNING tenant
"""
_BEGUN = "SELECT 1 FROM pss.placement WHERE tenant = $1 AND state = 'importing'"
_SERVE = "UPDATE pss.placement SET state = 'active', changed_at = now() WHERE tenant = $1"
_DOMAINS_TAKEN = """
SELECT host, tenant FROM pss.tenant_domain WHERE host = ANY($1) AND tenant <> $2 LIMIT 1
"""
_COUNTED = """
SELECT attname::text AS name FROM pg_attribute a
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = format('pss.%I', $1::text)::regclass AND a.attnum > 0 AND NOT a.attisdropped
  AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%')
"""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where and as whom the tenant arrives."""

    code: str
    cell: str
    schema: str
    role: str
    renamed: bool
    events: bool


async def import_tenant(
    installation: Installation,
    folder: Path,
    manifest: Manifest,
    *,
    code: str | None = None,
    cell: str = CONTROL_CELL,
    events: bool = True,
    keys: bool = True,
    report: Report | None = None,
) -> Tenant:
    """Make the exported tenant anew; it is served when all of it has arrived and was compared.

    Killed at any moment, the same command begins anew. ``code``: under another code, without its
    API keys and host names. Without ``events``, what waited to be delivered stays behind.
    Without ``keys``, its sealed values need not open here yet.
    """
    target = _target(installation, manifest, code or manifest.tenant.code, cell, events=events)
    _check_plugins(installation, manifest)
    faults = faults_of(folder, manifest)
    if faults:
        raise Invalid(
            f"The export is not whole: {' '.join(faults[:5])}",
            code="export-damaged",
            mend="See 'pss tenant verify'.",
        )
    async with installation.cells[cell].owner() as owner:
        await check_tables(owner, manifest)
    domains = [] if target.renamed else manifest.tenant.domains
    check_contents(installation.registry, folder, manifest, target.code, domains)
    await check_keys(installation.keyring.masters, folder, manifest, target.code, open_them=keys)
    async with _reserved(installation, target, domains) as control:
        await _load(installation, target, folder, manifest, report)
        await _serve(control, target.code, domains)
    await installation.directory.refresh()
    await _upgrade(installation, target.code)
    return installation.directory.by_code(target.code)


def _target(
    installation: Installation, manifest: Manifest, code: str, cell: str, *, events: bool
) -> _Target:
    refuse_platform(code)
    if not CODE.fullmatch(code):
        raise Invalid(
            f"{code!r} can't be a tenant's code.",
            code="invalid-tenant-code",
            mend="It starts with a letter and has 2 to 41 lower-case letters, digits or '_'.",
        )
    if cell not in installation.cells:
        raise Invalid(
            f"The cell {cell!r} is not configured here.",
            code="unknown-cell",
            mend=f"Known are: {', '.join(installation.cells)}.",
        )
    role = installation.database.roles.tenant(code)
    return _Target(code, cell, f"t_{code}", role, code != manifest.tenant.code, events)


def _check_plugins(installation: Installation, manifest: Manifest) -> None:
    """All that can't be rebuilt here, named at once."""
    missing = list(_unmet(installation, manifest))
    if missing:
        raise Conflict(
            "The export can't be loaded here: " + " ".join(missing),
            code="export-needs",
            mend="Install these (pss plugin list shows what is), then run it again.",
        )


def _unmet(installation: Installation, manifest: Manifest) -> Iterator[str]:
    for one in manifest.plugins:
        if one.revision is None:
            continue
        folder = folder_of(installation.registry, one.name)
        if folder is None:
            yield f"the plugin {one.name!r} (version {one.version}) is not installed."
        elif not knows(folder, one.revision):
            yield (
                f"the plugin {one.name!r} must know the revision {one.revision!r} "
                f"(version {one.version} or newer)."
            )


@asynccontextmanager
async def _reserved(
    installation: Installation, target: _Target, domains: list[str]
) -> AsyncIterator[asyncpg.Connection]:
    """The code belongs to this import, in all cells; nobody serves it until it says so."""
    async with alone(installation, target.code) as control:
        taken = await control.fetchrow(_DOMAINS_TAKEN, domains, target.code)
        if taken is not None:
            raise Conflict(
                f"The domain {taken['host']!r} belongs to the tenant {taken['tenant']!r}.",
                code="domain-taken",
                mend="Take it from that tenant first, or import under another code with --as.",
            )
        begun = await control.fetchval(_BEGUN, target.code)
        if await control.fetchval(_RESERVE, target.code, target.cell) is None:
            raise Conflict(
                f"There is a tenant {target.code!r} already.",
                code="tenant-exists",
                mend="Import it under another code with --as, or delete that one first.",
            )
        if begun:  # an attempt that was killed; perhaps into another cell
            await drop_everywhere(installation, target.code)
        yield control


async def _load(
    installation: Installation,
    target: _Target,
    folder: Path,
    manifest: Manifest,
    report: Report | None,
) -> None:
    """Everything in one transaction of the cell: all of it is there afterwards, or nothing."""
    database = installation.cells[target.cell]
    with loadable():
        async with database.owner() as owner, changing(owner, target.code):
            await _load_into(owner, installation, target, folder, manifest, report)


async def _load_into(
    owner: asyncpg.Connection,
    installation: Installation,
    target: _Target,
    folder: Path,
    manifest: Manifest,
    report: Report | None,
) -> None:
    database = installation.cells[target.cell]
    await drop_contents(owner, target.code, database.roles)  # what has no owner any more
    await owner.execute(
        CREATE.format(role=target.role, app=database.roles.app, schema=target.schema)
    )
    loading = _Loading(installation, owner, target, folder, report)
    control = {one.name: one for one in manifest.control}
    await loading.control(control.pop("tenant"))  # the kernel's migrations look for it
    await build_tables(
        owner,
        target.schema,
        {
            place: one.revision
            for one in manifest.plugins
            if (place := folder_of(installation.registry, one.name)) is not None
        },
    )
    # The export says of every plugin how it was, those included that migrations enable.
    await owner.execute("DELETE FROM pss.tenant_plugin WHERE tenant = $1", target.code)
    await loading.tables(manifest)
    await set_sequences(owner, target.schema, manifest.identity_counters)
    # The kernel's migrations have said what every tenant has; the export says it as it was.
    await owner.execute("DELETE FROM pss.tenant_plugin WHERE tenant = $1", target.code)
    for one in control.values():
        await loading.control(one)
    await grant_plugins(owner, installation.registry, database.roles, target.code)
    await grant_identity(owner, installation.registry, database.roles, target.code)
    await owner.execute(JOIN.format(tenants=database.roles.tenants, role=target.role))
    await audit_as_owner(
        *(owner, target.code, "tenant.imported", target.code),
        before={"tenant": manifest.tenant.code, "exported_at": manifest.exported_at},
        after={"tenant": target.code, "cell": target.cell},
    )


async def _serve(control: asyncpg.Connection, code: str, domains: list[str]) -> None:
    """The last step: from here on it is served."""
    async with control.transaction():
        await control.execute(_SERVE, code)
        await control.executemany(
            "INSERT INTO pss.tenant_domain (host, tenant) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            [(domain, code) for domain in domains],
        )


class _Loading:
    """Rows of files into the tables of one tenant."""

    def __init__(
        self,
        installation: Installation,
        owner: asyncpg.Connection,
        target: _Target,
        folder: Path,
        report: Report | None,
    ) -> None:
        self._installation = installation
        self._owner = owner
        self._target = target
        self._folder = folder
        self._report = report
        self._done = 0

    async def tables(self, manifest: Manifest) -> None:
        """Load the tenant's own tables and compare each with what was exported."""
        total = sum(one.rows for one in manifest.tables)
        there = {one.name: one for one in await tables_of(self._owner, self._target.schema)}
        for one in manifest.tables:
            table = there.pop(one.name, None)
            names = tuple(column.name for column in one.columns)
            if table is None or table.columns != names:
                raise _unlike(one.name, f"It has other columns here than {', '.join(names)}.")
            await copy_in(
                self._owner,
                self._target.schema,
                table,
                self._lines(one, one.columns, total=total),
                form="text",
            )
            found = await fingerprint(self._owner, self._target.schema, table)
            if f"{found.rows}-{found.digest}" != one.fingerprint:
                raise _unlike(one.name, "Its rows are not those that were exported.")
        if there:
            raise _unlike(", ".join(sorted(there)), "The export has no such table.")

    async def control(self, one: TableFile) -> None:
        """Load rows of the control schema, as this tenant's."""
        if one.name in ENVELOPES and not self._target.events:
            return
        if self._target.renamed and one.name in _NOT_AS_ANOTHER:
            return
        if not one.rows:
            return
        columns = await self._control_columns(one)
        place = TenantTable(one.name, tuple(column.name for column in columns))
        await self._owner.copy_to_table(
            place.name,
            schema_name="pss",
            columns=place.columns,
            source=self._lines(one, columns, self._rewritten(one.name)),
            format="text",
        )

    async def _control_columns(self, one: TableFile) -> list[Column]:
        """Those that are carried over; what the database counts, it counts anew."""
        known = {
            row["table_name"]
            for row in await self._owner.fetch(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'pss'"
            )
        }
        if one.name not in known:
            raise _newer(f"pss.{one.name}")
        utf8 = ("payload",) if one.name in ENVELOPES else ()
        found = await columns_of(self._owner, "pss", one.name, utf8=utf8)
        here = {column.name: column for column in found}  # not what the export says of their form
        unknown = [column.name for column in one.columns if column.name not in here]
        if unknown:
            raise _newer(f"pss.{one.name}.{unknown[0]}")
        counted = {row["name"] for row in await self._owner.fetch(_COUNTED, one.name)}
        if one.name == "outbox":
            return [here[column.name] for column in one.columns if column.name in _OUTBOX_KEEPS]
        return [here[column.name] for column in one.columns if column.name not in counted]

    def _rewritten(self, name: str) -> Callable[[Row], Row]:
        """What of a control row names the tenant or belongs to the other installation."""
        target = self._target
        if name == "tenant":
            mine = {"code": target.code, "schema_name": target.schema, "role": target.role}
            return lambda row: row | mine | _test_of(row, target.code)
        if name in ENVELOPES:
            whose = {} if name in OUTBOXES else {"tenant": target.code}
            return lambda row: row | whose | {"payload": _payload(row["payload"], target.code)}
        if name == "job":
            return lambda row: row | {"tenant": target.code, "leased_until": None}
        return lambda row: row | {"tenant": target.code}

    async def _lines(
        self,
        one: TableFile,
        columns: list[Column],
        change: Callable[[Row], Row] = lambda row: row,
        *,
        total: int = 0,
    ) -> AsyncIterator[bytes]:
        decode = msgspec.json.Decoder(Row).decode
        with (self._folder / one.file).open("rb") as file:
            while batch := file.readlines(1 << 16):
                with readable(one.file):
                    lines = b"".join(copy_line(change(decode(line)), columns) for line in batch)
                yield lines
                if total and self._report is not None:
                    self._done += len(batch)
                    self._report(self._target.code, self._done, total)


def _test_of(row: Row, code: str) -> Row:
    """Test data stays test data, of the tenant that its new code names."""
    return {"test_of": live_code(code)} if row.get("test_of") is not None else {}


def _payload(text: str, code: str) -> str:
    """A waiting event as one of the tenant that it arrives as."""
    event = msgspec.json.decode(text, type=dict[str, msgspec.Raw])  # the rest stays as it is
    return msgspec.json.encode(event | {"tenant": code}).decode()


def _unlike(what: str, why: str) -> Conflict:
    return Conflict(
        f"The table {what} did not arrive as it was exported. {why}",
        code="import-differs",
        mend="Nothing of it was kept. Does the installed plugin have the same migrations?",
    )


def _newer(what: str) -> Conflict:
    return Conflict(
        f"The export has {what}, which this version does not know.",
        code="export-needs",
        mend="Upgrade this installation to the version that exported it, or a newer one.",
    )


async def _upgrade(installation: Installation, code: str) -> None:
    """Bring the enabled plugins to the migrations that are installed here."""
    tenant = installation.directory.by_code(code)
    behind = [
        name
        for name in tenant.enabled - {KERNEL}
        if pending(installation.registry.migrations_of(name), tenant.plugins[name].revision)
    ]
    if behind:
        await enable_plugins(installation, code, dict.fromkeys(behind))
