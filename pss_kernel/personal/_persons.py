"""Telling and erasing what is kept about people: in all tables that manifests name, and by hooks.

The tables are asked of every plugin that the tenant has ever enabled, also of one that is disabled:
its data is still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.errors import Conflict, Invalid, NotFound
from pss_kernel.keys import ERASED
from pss_kernel.leaving._protection import protection_of
from pss_kernel.persistence._idempotency import forget_old_keys
from pss_kernel.personal.contracts import (
    ErasedData,
    PersonalRecord,
    PersonQuery,
    erase_personal_data,
    find_persons,
    personal_data_of,
    reasons_to_keep,
)
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork
    from pss_kernel.personal._declared import PersonalTable

__all__ = ["erase_persons", "export_persons", "persons_of"]

_ANSWERS = """
DELETE FROM idempotency WHERE EXISTS (
  SELECT FROM unnest($1::text[]) AS p (id) WHERE position(convert_to(p.id, 'UTF8') IN body) > 0)
RETURNING key
"""


async def persons_of(uow: UnitOfWork, query: PersonQuery) -> list[str]:
    """The ids of those who are meant. Raises Invalid for an empty query, NotFound for nobody."""
    named = query.reference is not None and query.family_name is not None
    if query.id is None and query.email is None and not named:
        raise Invalid(
            "Who is meant?",
            code="which-person",
            mend="Give an id, an e-mail address, or a booking reference with a family name.",
        )
    start = [query.id] if query.id else []
    found: list[str] = await uow.call(find_persons, persons=start, query=query)
    persons = list(dict.fromkeys(found))
    if not persons:
        raise NotFound("Nobody is known by that.", code="no-such-person")
    return persons


async def export_persons(uow: UnitOfWork, persons: list[str]) -> list[PersonalRecord]:
    """All that is kept about these people. Raises NotFound where that is nothing."""
    records: list[PersonalRecord] = []
    for plugin, table in _tables(uow):
        records += await _rows(uow, plugin, table, persons)
    records = await uow.call(personal_data_of, records=records, persons=persons)
    if not records:
        raise NotFound("Nothing is kept about anybody known by that.", code="no-such-person")
    return records


async def erase_persons(
    uow: UnitOfWork, persons: list[str], *, dry_run: bool = False
) -> list[ErasedData]:
    """Erase all that need not be kept; with ``dry_run``, only say what would be.

    Raises Conflict while there is a reason to keep all of it, such as a journey that lies ahead.
    """
    reasons: list[str] = await uow.call(reasons_to_keep, reasons=[], persons=persons)
    if reasons:
        raise Conflict(" ".join(reasons), code="erasure-refused")
    outcomes: list[ErasedData] = []
    for plugin, table in _tables(uow):
        outcomes += await _erased(uow, plugin, table, persons, dry_run=dry_run)
    outcomes = await uow.call(
        erase_personal_data, outcomes=outcomes, persons=persons, dry_run=dry_run
    )
    if not dry_run:
        await uow.erase_persons(*persons)
        async with uow.acting(KERNEL):  # answers that are kept for repeated requests
            await uow.hot(_ANSWERS, persons)
            await forget_old_keys(uow)  # a guest's answer may have a name and no id
    return outcomes


def _tables(uow: UnitOfWork) -> Iterator[tuple[str, PersonalTable]]:
    for name, plugin in uow.installation.registry.plugins.items():
        state = uow.tenant.plugins.get(name)
        if state is not None and state.revision is not None:
            yield from ((name, table) for table in plugin.personal)


async def _rows(
    uow: UnitOfWork, plugin: str, table: PersonalTable, persons: list[str]
) -> list[PersonalRecord]:
    sealed = {
        column
        for column, how in protection_of(uow.installation.registry, plugin, table.name).items()
        if how == "encrypted" and column in table.columns
    }
    plain = [column for column in table.columns if column not in sealed]
    listed = ", ".join(f'"{one}"' for one in plain)
    opened = "".join(f', "{one}"' for one in sealed)
    rows = await _hot(
        uow,
        plugin,
        f'SELECT "{table.person}" AS person, '  # noqa: S608 - from the plugin's manifest
        f"(SELECT row_to_json(r)::text FROM (SELECT {listed or 'NULL'}) AS r) AS plain{opened} "
        f'FROM "{table.name}" WHERE "{table.person}" = ANY($1)',
        persons,
    )
    return [
        PersonalRecord(
            plugin=plugin,
            place=table.name,
            person=row["person"],
            purpose=table.purpose,
            data=_labelled(table, msgspec.json.decode(row["plain"]))
            | await _open(uow, table, row, sealed),
            special=table.special,
        )
        for row in rows
    ]


def _labelled(table: PersonalTable, values: dict[str, Any]) -> dict[str, Any]:
    return {
        table.columns[column]: value
        for column, value in values.items()
        if value is not None and column in table.columns
    }


async def _open(
    uow: UnitOfWork, table: PersonalTable, row: Any, sealed: set[str]
) -> dict[str, Any]:
    fields = {f"{table.name}.{column}": row[column] for column in sealed}
    if not fields:
        return {}
    person = row["person"]
    opened = (await uow.unseal({person: fields}))[person]
    values = {column: opened[f"{table.name}.{column}"] for column in sealed}
    return {
        table.columns[column]: "erased" if value is ERASED else value
        for column, value in values.items()
        if value is not None
    }


async def _erased(
    uow: UnitOfWork, plugin: str, table: PersonalTable, persons: list[str], *, dry_run: bool
) -> list[ErasedData]:
    where = f'WHERE "{table.person}" = ANY($1)'
    counted = await _hot(
        uow,
        plugin,
        f'SELECT count(*)::int AS count FROM "{table.name}" {where}',  # noqa: S608 - from the plugin's manifest
        persons,
    )
    count = counted[0]["count"]
    if not count:
        return []
    if not dry_run and table.rows_go:
        await _hot(uow, plugin, f'DELETE FROM "{table.name}" {where}', persons)  # noqa: S608 - the same
    elif not dry_run and table.erased:
        changes = ", ".join(f'"{column}" = {value}' for column, value in table.erased.items())
        await _hot(uow, plugin, f'UPDATE "{table.name}" SET {changes} {where}', persons)  # noqa: S608 - the same
    reasons = Counter(table.kept.get(column) for column in table.columns)
    return [
        ErasedData(
            plugin=plugin,
            place=table.name,
            what=", ".join(
                what for column, what in table.columns.items() if table.kept.get(column) == reason
            ),
            count=count,
            kept=reason,
        )
        for reason in reasons
    ]


async def _hot(uow: UnitOfWork, plugin: str, sql: str, persons: list[str]) -> list[Any]:
    async with uow.acting(plugin):
        return await uow.hot(sql, persons)
