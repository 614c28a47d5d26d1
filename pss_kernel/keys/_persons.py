"""Personal data: sealed with a key for each person, which can be erased.

A person's key is kept in the tenant's schema (``person_key``), sealed with the tenant's data key.
Every function here takes one round trip for any number of people, and none where there is nothing
to seal or to open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pss_kernel.errors import Gone
from pss_kernel.keys._data_keys import DataKeys, KeyErased
from pss_kernel.keys._personal import ERASED
from pss_kernel.keys._sealed import new_key, number_of, place, seal, unseal
from pss_kernel.keys._tenant_keys import current_keys, keys_of

if TYPE_CHECKING:
    import asyncpg

    from pss_kernel.persistence._unit_of_work import UnitOfWork

__all__ = ["erase_persons", "seal_persons", "unseal_persons"]

# The last part sees what was there before this statement; those in neither part were made by
# somebody else at this very moment.
_CLAIM = """
WITH given AS (
  SELECT * FROM unnest($1::text[], $2::integer[], $3::bytea[]) AS g (subject, data_key, wrapped)
), made AS (
  INSERT INTO person_key (subject, data_key, wrapped) SELECT * FROM given
  ON CONFLICT (subject) DO NOTHING RETURNING subject, data_key, wrapped
)
SELECT subject, data_key, wrapped FROM made
UNION ALL
SELECT k.subject, k.data_key, k.wrapped FROM person_key k JOIN given USING (subject)
"""
_FIND = "SELECT subject, data_key, wrapped FROM person_key WHERE subject = ANY($1)"
_ERASE = """
INSERT INTO person_key (subject, data_key, erased_at)
SELECT subject, 0, now() FROM unnest($1::text[]) AS g (subject)
ON CONFLICT (subject) DO UPDATE SET wrapped = NULL, erased_at = excluded.erased_at
WHERE person_key.wrapped IS NOT NULL
RETURNING subject
"""


async def seal_persons(
    uow: UnitOfWork, persons: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, bytes | None]]:
    """Seal the fields of people, each with the person's own key; None stays None.

    Raises Gone for a person whose key was erased.
    """
    subjects = sorted(one for one, fields in persons.items() if _any(fields))
    keys: dict[str, AESGCM] = {}
    if subjects:
        opener = await current_keys(uow)
        fresh = [opener.seal(new_key(), "person", subject) for subject in subjects]
        rows = await uow.hot(_CLAIM, subjects, [number_of(one) for one in fresh], fresh)
        if len(rows) < len(subjects) or not _known(opener, rows):
            rows, opener = await _found(uow, subjects)
        keys = {row["subject"]: _opened(opener, row) for row in rows}
    return {
        subject: {
            field: None if value is None else _sealed(uow, keys[subject], subject, field, value)
            for field, value in fields.items()
        }
        for subject, fields in persons.items()
    }


async def unseal_persons(
    uow: UnitOfWork, persons: Mapping[str, Mapping[str, bytes | None]]
) -> dict[str, dict[str, Any]]:
    """Open the fields of people; ``ERASED`` in place of each whose key was erased."""
    subjects = [one for one, fields in persons.items() if _any(fields)]
    keys: dict[str, AESGCM] = {}
    if subjects:
        rows, opener = await _found(uow, subjects)
        for row in rows:
            with suppress(KeyErased, Gone):
                keys[row["subject"]] = _opened(opener, row)
    return {
        subject: {
            field: None
            if value is None
            else _unsealed(uow, keys.get(subject), subject, field, value)
            for field, value in fields.items()
        }
        for subject, fields in persons.items()
    }


async def erase_persons(uow: UnitOfWork, subjects: Iterable[str]) -> list[str]:
    """Erase the keys of people: what is sealed with them is unreadable once this commits.

    Gives those that had not been erased before.
    """
    named = sorted({subject for subject in subjects if subject})
    rows = await uow.hot(_ERASE, named)
    return [row["subject"] for row in rows]


def _any(fields: Mapping[str, Any]) -> bool:
    return any(value is not None for value in fields.values())


def _known(opener: DataKeys, rows: Iterable[asyncpg.Record]) -> bool:
    return all(row["wrapped"] is None or opener.has(row["wrapped"]) for row in rows)


async def _found(uow: UnitOfWork, subjects: list[str]) -> tuple[list[asyncpg.Record], DataKeys]:
    """The people's keys, and what opens them.

    Read again where they were sealed anew a moment ago, with what this process had not seen yet or
    has forgotten meanwhile.
    """
    rows = await uow.hot(_FIND, subjects)
    opener = keys_of(uow)
    if not _known(opener, rows):
        await uow.installation.directory.refresh()
        rows = await uow.hot(_FIND, subjects)
        opener = keys_of(uow)
    return rows, opener


def _opened(opener: DataKeys, row: asyncpg.Record) -> AESGCM:
    if row["wrapped"] is None:
        raise Gone(
            f"The personal data of {row['subject']!r} was erased.",
            code="person-erased",
            mend="It can't be written again under the same name.",
        )
    return AESGCM(opener.unseal(row["wrapped"], "person", row["subject"]))


def _sealed(uow: UnitOfWork, key: AESGCM, subject: str, field: str, value: Any) -> bytes:
    return seal(key, 0, place(uow.tenant.code, subject, field), msgspec.json.encode(value))


def _unsealed(
    uow: UnitOfWork, key: AESGCM | None, subject: str, field: str, sealed: bytes | None
) -> Any:
    if sealed is None:
        return None
    if key is None:
        return ERASED
    what = f"{field} of {subject}"
    clear = unseal(key, place(uow.tenant.code, subject, field), sealed, what)
    return msgspec.json.decode(clear)
