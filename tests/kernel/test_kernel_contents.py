"""Taking a tenant as a whole: its tables, rows and counters."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pss_kernel.identity.models import metadata as identity
from pss_kernel.tenancy._contents import (
    TenantTable,
    control_tables,
    copy_in,
    copy_out,
    fingerprint,
    sequence_values,
    set_sequences,
    tables_of,
)
from pss_kernel.testing import TestKit
from pss_notes import store


async def test_from_one_schema_to_another(either: TestKit) -> None:
    """Rows, fingerprints and counters arrive as they were."""
    before, after = [await either.make_tenant(plugins=["notes"]) for _ in range(2)]
    async with either.unit_of_work(before) as uow:
        for number in range(3):
            await store.write_note(uow, f"note {number}")
            await store.leave_trace(uow, "somebody", "something")
    async with either.installation.database.owner() as owner, owner.transaction():
        tables = await tables_of(owner, before.schema)
        kernels = {"event", "inbox", "idempotency", "person_key", *identity.tables}
        assert kernels | {"note", "counter", "trace"} == {one.name for one in tables}
        await owner.execute(f'TRUNCATE "{after.schema}".audit_entry')  # it tells of its making
        for table in tables:
            pieces: list[bytes] = []

            async def keep(piece: bytes, pieces: list[bytes] = pieces) -> None:
                pieces.append(piece)

            async def kept(pieces: list[bytes] = pieces) -> AsyncIterator[bytes]:
                for piece in pieces:
                    yield piece

            await copy_out(owner, before.schema, table, keep)
            await copy_in(owner, after.schema, table, kept())
            assert await fingerprint(owner, before.schema, table) == await fingerprint(
                owner, after.schema, table
            )
        counted = await sequence_values(owner, before.schema)
        assert {"event.position": 3, "trace.position": 3} == counted
        await set_sequences(owner, after.schema, counted)
        assert counted == await sequence_values(owner, after.schema)
    async with either.unit_of_work(after) as uow:
        await store.leave_trace(uow, "somebody", "more")
        assert 4 == len(await store.traces(uow, "somebody"))


async def test_a_difference(kit: TestKit) -> None:
    """One letter changes the fingerprint."""
    tenant = await kit.make_tenant(plugins=["notes"])
    table = TenantTable("note", ("note_id", "body"))
    async with kit.installation.database.owner() as owner:
        found = []
        for body in ("a", "b"):
            await owner.execute(
                f"INSERT INTO {tenant.schema}.note (note_id, body) VALUES ('n', $1) "
                "ON CONFLICT (note_id) DO UPDATE SET body = excluded.body",
                body,
            )
            found.append(await fingerprint(owner, tenant.schema, table))
    assert [1, 1] == [one.rows for one in found]
    assert found[0] != found[1]


async def test_rows_of_the_control_schema(kit: TestKit) -> None:
    """Each control table that has rows of single tenants is known, the tenant's own first."""
    async with kit.installation.database.owner() as owner:
        found = await control_tables(owner)
        assert [] == await tables_of(owner, "t_nobody")
    assert ("tenant", "code") == next(iter(found.items()))
    assert {"tenant_plugin", "tenant_file", "api_key", "job"} <= found.keys()
