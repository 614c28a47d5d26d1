"""A tenant as files: one consistent view, streamed, readable without us."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pss_kernel._version import __version__
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.leaving._alone import locks_within_reason
from pss_kernel.leaving._ddl import schema_script
from pss_kernel.leaving._format import (
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    Column,
    Manifest,
    PluginFacts,
    TableFile,
    TenantFacts,
    columns_of,
    selected,
)
from pss_kernel.leaving._place import Writing, placed, write_sums
from pss_kernel.leaving._protection import PASSING, PROTECTED, protection_of
from pss_kernel.leaving._readme import readme
from pss_kernel.leaving._revisions import made_by
from pss_kernel.tenancy._changing import tenant_transaction
from pss_kernel.tenancy._contents import (
    Fingerprint,
    TenantTable,
    control_tables,
    fingerprint,
    plain_forms,
    sequence_values,
    tables_of,
)
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["ENVELOPES", "OUTBOXES", "Report", "export_tables", "export_tenant", "exported_tables"]

Report = Callable[[str, int, int], None]

# No JSON document holds these characters unescaped, so COPY's CSV neither quotes nor changes it.
_LINE_PER_ROW: dict[str, Any] = {"format": "csv", "quote": "\x01", "delimiter": "\x02"}
OUTBOXES = ("outbox", "outbox_dead")
"""Tables of the control schema whose rows name their tenant inside the event alone."""
ENVELOPES = (*OUTBOXES, "event_waiting")
"""Those with whole events in their column ``payload``."""

_LOCK_TIMEOUT = "10s"
_KEY = """
SELECT a.attname::text AS name
FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = format('%I.%I', $1::text, $2::text)::regclass AND i.indisprimary
ORDER BY k.place
"""
_LEDGER = """
SELECT plugin AS name, state, version, revision FROM pss.tenant_plugin WHERE tenant = $1
"""
_OF_TENANT = "(convert_from(payload, 'UTF8')::jsonb ->> 'tenant') = $1"


async def export_tenant(
    installation: Installation, code: str, target: Path, report: Report | None = None
) -> Manifest:
    """Write all that is kept for a tenant to ``target``: a folder, a .zip or a .tar.gz.

    One view of the database, whatever is written meanwhile; writers are not held up. Nothing is
    under the name before it is whole. Raises TenantUnknown, Conflict where there is something.
    """
    tenant = installation.directory.by_code(code)
    with placed(target) as folder, locks_within_reason(code):
        async with tenant_transaction(installation, code, leaving=True) as owner:
            await audit_as_owner(owner, code, "tenant.exported", code)
        async with installation.cell(tenant).owner() as owner:
            await _hold_still(owner, tenant)
            async with owner.transaction(isolation="repeatable_read", readonly=True):
                tables = await tables_of(owner, tenant.schema)
                await _lock(owner, tenant.schema, tables)
                await _let_go(owner, tenant)
                writer = _Writer(installation, owner, tenant, folder, report)
                return await writer.everything(tables)


async def export_tables(
    installation: Installation, tenant: Tenant, names: frozenset[str], target: Path
) -> int:
    """Write some of a tenant's tables in the same form, without a manifest; gives the rows."""
    with placed(target) as folder:
        async with (
            installation.cell(tenant).owner() as owner,
            owner.transaction(isolation="repeatable_read", readonly=True),
        ):
            tables = [one for one in await tables_of(owner, tenant.schema) if one.name in names]
            writer = _Writer(installation, owner, tenant, folder, None)
            return await writer.some(tables)


async def _hold_still(owner: asyncpg.Connection, tenant: Tenant) -> None:
    """Let no migration of the tenant begin until its tables are locked against it."""
    await owner.execute("SELECT set_config('lock_timeout', $1, false)", _LOCK_TIMEOUT)
    await owner.execute("SELECT pg_advisory_lock_shared(hashtextextended($1, 0))", tenant.code)


async def _let_go(owner: asyncpg.Connection, tenant: Tenant) -> None:
    await owner.execute("SELECT pg_advisory_unlock_shared(hashtextextended($1, 0))", tenant.code)


async def _lock(owner: asyncpg.Connection, schema: str, tables: list[TenantTable]) -> None:
    """As pg_dump does: readers and writers go on, a change of the tables waits."""
    names = ", ".join(f'"{schema}"."{one.name}"' for one in tables)
    if names:
        await owner.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE")


@dataclass(slots=True)
class _Writer:
    """Writes the files of one export."""

    installation: Installation
    owner: asyncpg.Connection
    tenant: Tenant
    folder: Path
    report: Report | None
    sums: dict[str, str] = field(default_factory=dict)
    done: int = 0
    total: int = 0

    async def everything(self, tables: list[TenantTable]) -> Manifest:
        await plain_forms(self.owner)
        prints = {
            one.name: Fingerprint(0, 0)
            if one.name in PASSING
            else await fingerprint(self.owner, self.tenant.schema, one)
            for one in tables
        }
        self.total = sum(one.rows for one in prints.values())
        plugins = await self._plugins()
        owners = await self._owners(plugins)
        files = [await self._table(one, prints[one.name], owners.get(one.name)) for one in tables]
        manifest = Manifest(
            format=FORMAT,
            format_version=FORMAT_VERSION,
            exported_at=datetime.now(UTC),
            kernel_version=__version__,
            control_revision=await self.owner.fetchval(
                "SELECT version_num FROM pss.alembic_version"
            ),
            postgresql=await self.owner.fetchval("SHOW server_version"),
            tenant=self._tenant(),
            plugins=plugins,
            tables=files,
            control=await self._control(),
            identity_counters=await sequence_values(self.owner, self.tenant.schema),
            protected=list(PROTECTED),
        )
        script = await schema_script(self.owner, self.tenant.code, self.tenant.schema)
        self._text("schema.sql", script)
        self._text("README.txt", readme(manifest))
        self._text(MANIFEST, _pretty(manifest))
        write_sums(self.folder, self.sums)
        return manifest

    async def some(self, tables: list[TenantTable]) -> int:
        await plain_forms(self.owner)
        rows = 0
        for one in tables:
            written = await self._table(one, None, None)
            rows += written.rows
        write_sums(self.folder, self.sums)
        return rows

    def _text(self, name: str, text: str) -> None:
        writing = Writing(self.folder, name)
        writing.write(text.encode())
        self.sums[name] = writing.close()

    async def _table(
        self, table: TenantTable, print_: Fingerprint | None, plugin: str | None
    ) -> TableFile:
        schema = self.tenant.schema
        columns = await columns_of(
            self.owner,
            schema,
            table.name,
            protection=protection_of(self.installation.registry, plugin, table.name),
        )
        written = await self._rows(
            schema, table.name, f"tables/{table.name}.jsonl", columns, none=table.name in PASSING
        )
        if print_ is None:
            return written
        return msgspec.structs.replace(
            written, plugin=plugin, fingerprint=f"{print_.rows}-{print_.digest}"
        )

    async def _rows(
        self,
        schema: str,
        table: str,
        file: str,
        columns: list[Column],
        where: str = "",
        *,
        none: bool = False,
    ) -> TableFile:
        key = [row["name"] for row in await self.owner.fetch(_KEY, schema, table)]
        order = f" ORDER BY {', '.join(_quoted(schema, table, one) for one in key)}" if key else ""
        if none:
            order = " LIMIT 0"
        query = (
            f"SELECT row_to_json(r)::text FROM (SELECT {selected(columns)} "  # noqa: S608 - names from the catalogue, quoted
            f"FROM {_quoted(schema, table)}{where and f' WHERE {where}'}{order}) AS r"
        )
        writing = Writing(self.folder, file)

        async def keep(piece: bytes) -> None:
            before = writing.lines
            writing.write(piece)
            self.done += writing.lines - before
            if self.report is not None and self.total and not where:
                self.report(self.tenant.code, self.done, self.total)

        given = [self.tenant.code] if where else []
        try:
            await self.owner.copy_from_query(query, *given, output=keep, **_LINE_PER_ROW)
        except BaseException:
            writing.abandon()
            raise
        self.sums[file] = writing.close()
        return TableFile(
            name=table,
            file=file,
            rows=writing.lines,
            bytes=writing.bytes,
            sha256=self.sums[file],
            columns=columns,
            key=key,
        )

    async def _control(self) -> list[TableFile]:
        """The rows of the control schema: by their column, and the events by what they hold."""
        wanted = await exported_tables(self.owner)
        return [
            await self._rows(
                "pss",
                name,
                f"control/{name}.jsonl",
                await columns_of(
                    self.owner,
                    "pss",
                    name,
                    utf8=("payload",) if name in ENVELOPES else (),
                    protection=protection_of(self.installation.registry, None, name),
                ),
                where,
            )
            for name, where in wanted.items()
        ]

    async def _plugins(self) -> list[PluginFacts]:
        """The ledger, in the order in which tables can be made."""
        found = [
            PluginFacts(**dict(row)) for row in await self.owner.fetch(_LEDGER, self.tenant.code)
        ]
        order = [KERNEL, *self.installation.registry.plugins]
        return sorted(
            found,
            key=lambda one: (order.index(one.name) if one.name in order else len(order), one.name),
        )

    async def _owners(self, plugins: list[PluginFacts]) -> dict[str, str]:
        """Whose each table is, as far as anybody knows."""
        owners: dict[str, str] = {}
        async with self.installation.database.owner() as control:
            for plugin in plugins:
                made = await made_by(
                    control, self.installation.registry, plugin.name, plugin.revision
                )
                owners |= {one.name: plugin.name for one in made or () if one.kind == "TABLE"}
        return owners

    def _tenant(self) -> TenantFacts:
        one = self.tenant
        return TenantFacts(
            code=one.code,
            name=one.name,
            schema=one.schema,
            role=one.role,
            currency=one.currency,
            time_zone=one.time_zone,
            locales=list(one.locales),
            brand=one.brand,
            cell=one.cell,
            domains=list(one.domains),
        )


async def exported_tables(owner: asyncpg.Connection) -> dict[str, str]:
    """The tables of the control schema that an export has rows of, and which rows."""
    return {
        name: f'"{column}" = $1' for name, column in (await control_tables(owner)).items()
    } | dict.fromkeys(OUTBOXES, _OF_TENANT)


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _pretty(manifest: Manifest) -> str:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode() + "\n"
