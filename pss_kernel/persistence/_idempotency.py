"""The idempotent answer of a POST: kept for a day, in the same transaction as its effect.

What is kept is sealed with the tenant's data key, the digest of the request as well: of a request
with a password it would be a fast hash to guess against.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pss_kernel.api_versions import NEWEST, OLDEST
from pss_kernel.errors import Conflict, Gone, IdempotencyMismatch
from pss_kernel.keys._tenant_keys import current_keys, keys_of
from pss_kernel.persistence._migrations import reached
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.keys._data_keys import DataKeys
    from pss_kernel.persistence._unit_of_work import UnitOfWork
    from pss_kernel.tenancy import Tenant

__all__ = [
    "Answered",
    "Idempotency",
    "forget_answers",
    "forget_old_keys",
    "places_of",
    "seals_answers",
]

_CLAIM = """
INSERT INTO idempotency (scope, key, fingerprint, data_key) VALUES ($1, $2, $3, $4)
ON CONFLICT (scope, key) DO NOTHING RETURNING key
"""
_EARLIER = """
SELECT fingerprint, status, body, data_key FROM idempotency WHERE scope = $1 AND key = $2
"""
# A request that died between its units of work leaves a claim without an answer; after a
# minute the same key may go on from where it stopped.
_TAKE_OVER = """
UPDATE idempotency SET claimed_at = now(), fingerprint = $3
WHERE scope = $1 AND key = $2 AND status IS NULL AND claimed_at < now() - interval '60 seconds'
RETURNING key
"""
_ANSWER = """
UPDATE idempotency SET fingerprint = $3, status = $4, body = $5, data_key = $6, subjects = $7
WHERE scope = $1 AND key = $2
"""
_RELEASE = "DELETE FROM idempotency WHERE scope = $1 AND key = $2 AND status IS NULL"
# As long as a tenant's tables are those of before 0004.
_CLAIM_CLEAR = """
INSERT INTO idempotency (scope, key, fingerprint) VALUES ($1, $2, $3)
ON CONFLICT (scope, key) DO NOTHING RETURNING key
"""
_EARLIER_CLEAR = """
SELECT fingerprint, status, body, NULL AS data_key FROM idempotency WHERE scope = $1 AND key = $2
"""
_ANSWER_CLEAR = "UPDATE idempotency SET status = $3, body = $4 WHERE scope = $1 AND key = $2"

_NAMED = """
EXISTS (SELECT FROM unnest($1::text[]) AS g (subject)
        WHERE position(convert_to(g.subject, 'UTF8') IN body) > 0)"""
_FORGET = f"""
UPDATE idempotency SET status = 410, body = NULL, subjects = '{{}}'
WHERE body IS NOT NULL AND (subjects && $1 OR data_key IS NULL AND {_NAMED})
"""  # noqa: S608 - ours
_FORGET_CLEAR = f"""
UPDATE idempotency SET status = 410, body = NULL WHERE body IS NOT NULL AND {_NAMED}
"""  # noqa: S608 - ours

_MIGRATIONS = Path(__file__).parents[1] / "tenancy" / "migrations"
_ID = re.compile(rb"[a-z]{2,10}_[0-9a-hjkmnp-tv-z]{26}(?![0-9a-z])", re.ASCII)
# In place of an answer that was about somebody whose personal data was erased since.
_GONE = msgspec.json.encode(
    {
        "type": "/problems/person-erased",
        "title": Gone.title,
        "status": Gone.status,
        "detail": "The answer was about somebody whose personal data was erased since.",
        "code": "person-erased",
    }
)


class Answered(Exception):  # noqa: N818 - not an error: the answer that was given before
    """The key was used before, for the same request: this was its answer."""

    def __init__(self, status: int, body: bytes, version: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.version = version
        """Of the interface, that the answer was written in."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """One ``Idempotency-Key`` of one caller for one operation.

    ``scope`` keeps callers and operations apart; ``fingerprint`` is the digest of the request.
    """

    scope: str
    key: str
    fingerprint: bytes
    confidential: bool = False
    """Whether request or answer hold credentials: then nothing is kept unless it is sealed."""

    @property
    def _claimed(self) -> bytes:
        """The digest, and in which version of the interface the answer will be kept.

        So an answer that was kept before an upgrade is still understood after it.
        """
        return self.fingerprint + NEWEST.encode()

    async def claim(self, uow: UnitOfWork) -> None:
        """Claim the key in this transaction.

        Raises Answered with the earlier answer, IdempotencyMismatch for another request under
        the same key, Conflict while the first one is still at work.
        """
        if self.confidential and not seals_answers(uow.tenant):
            return
        async with uow.acting(KERNEL):
            await self._claim(uow)

    async def _claim(self, uow: UnitOfWork) -> None:
        try:
            if await self._insert(uow):
                return
        except asyncpg.LockNotAvailableError as error:
            raise self._in_progress() from error
        earlier = await self._earlier(uow)
        if earlier is None:  # its transaction was undone, or it was forgotten, this moment
            raise self._in_progress()
        fingerprint, version = _parts(self._opened(earlier, "fingerprint", uow))
        if fingerprint != self.fingerprint:
            raise IdempotencyMismatch(mend="Use a new key for a new request.")
        if earlier["status"] is not None:
            body = earlier["body"]
            raise Answered(
                earlier["status"],
                _GONE if body is None else self._opened(earlier, "body", uow),
                version,
            )
        if not await self._take_over(uow, sealed=earlier["data_key"] is not None):
            raise self._in_progress()

    async def _take_over(self, uow: UnitOfWork, *, sealed: bool) -> bool:
        fingerprint = self._claimed
        if sealed:
            fingerprint = self._kept(keys_of(uow), "fingerprint", fingerprint)
        return bool(await uow.hot(_TAKE_OVER, self.scope, self.key, fingerprint))

    async def _insert(self, uow: UnitOfWork) -> bool:
        if not seals_answers(uow.tenant):
            rows = await uow.hot(_CLAIM_CLEAR, self.scope, self.key, self._claimed)
        else:
            keys = await self._keys(uow)
            fingerprint = self._kept(keys, "fingerprint", self._claimed)
            rows = await uow.hot(_CLAIM, self.scope, self.key, fingerprint, _number(keys))
        return bool(rows)

    async def _earlier(self, uow: UnitOfWork) -> asyncpg.Record | None:
        """The row of the first request; read again where it was sealed with a key that is new."""
        query = _EARLIER if seals_answers(uow.tenant) else _EARLIER_CLEAR
        rows = await uow.hot(query, self.scope, self.key)
        row = rows[0] if rows else None
        if row and row["data_key"] is not None and not keys_of(uow).has(row["fingerprint"]):
            await uow.installation.directory.refresh()
            rows = await uow.hot(query, self.scope, self.key)
        return rows[0] if rows else None

    async def answer(
        self, uow: UnitOfWork, status: int, body: bytes, subjects: Iterable[str] = ()
    ) -> None:
        """Keep the answer, in the same transaction as the effect.

        ``subjects``: people whose personal data may be in it, beside those whose ids are.
        """
        if not seals_answers(uow.tenant):
            if not self.confidential:
                async with uow.acting(KERNEL):
                    await uow.hot(_ANSWER_CLEAR, self.scope, self.key, status, body)
            return
        async with uow.acting(KERNEL):
            keys = await self._keys(uow)
            await uow.hot(
                _ANSWER,
                self.scope,
                self.key,
                self._kept(keys, "fingerprint", self._claimed),
                status,
                self._kept(keys, "body", body),
                _number(keys),
                _about(body, subjects),
            )

    async def release(self, uow: UnitOfWork) -> None:
        """Let the key be used again: the request was refused and has had no effect."""
        async with uow.acting(KERNEL):
            await uow.hot(_RELEASE, self.scope, self.key)

    async def _keys(self, uow: UnitOfWork) -> DataKeys | None:
        """What seals; None for an ordinary answer where there is no master key at all."""
        keys = keys_of(uow)
        masters = uow.installation.keyring.masters
        if keys.current is None and (self.confidential or masters.ids or masters.makes_one):
            keys = await current_keys(uow)
        return keys if keys.current is not None else None

    def _kept(self, keys: DataKeys | None, column: str, clear: bytes) -> bytes:
        return clear if keys is None else keys.seal(clear, *places_of(self.scope, self.key, column))

    def _opened(self, row: asyncpg.Record, column: str, uow: UnitOfWork) -> bytes:
        kept: bytes = row[column]
        if row["data_key"] is None:
            return kept
        return keys_of(uow).unseal(kept, *places_of(self.scope, self.key, column))

    @staticmethod
    def _in_progress() -> Conflict:
        return Conflict(
            "A request with this Idempotency-Key is still being worked on.",
            code="idempotency-in-progress",
            retryable=True,
        )


def _parts(claimed: bytes) -> tuple[bytes, str]:
    """Fingerprint and version; what was kept before there were versions is of the oldest."""
    digest = hashlib.sha256().digest_size
    return claimed[:digest], claimed[digest:].decode() or OLDEST


def places_of(scope: str, key: str, column: str) -> tuple[str, ...]:
    """What a sealed column of a row is bound to, beside the tenant."""
    return ("idempotency", scope, key, column)


async def forget_old_keys(uow: UnitOfWork) -> None:
    """Forget what was answered under keys of more than a day ago; answers hold personal data."""
    await uow.hot("DELETE FROM idempotency WHERE claimed_at < now() - interval '24 hours'")


async def forget_answers(uow: UnitOfWork, subjects: Iterable[str]) -> None:
    """Replace what was answered about these people by a refusal, sealed or not."""
    named = sorted({subject for subject in subjects if subject})
    await uow.hot(_FORGET if seals_answers(uow.tenant) else _FORGET_CLEAR, named)


def _about(body: bytes, subjects: Iterable[str]) -> list[str]:
    """Whom the answer may be about: the ids in it, and people who were sealed or opened for it."""
    found = {one.decode() for one in _ID.findall(body)}
    return sorted(found | {one for one in subjects if one.encode() in body})


def _number(keys: DataKeys | None) -> int | None:
    return None if keys is None or keys.current is None else keys.current.number


def seals_answers(tenant: Tenant) -> bool:
    """Whether the tenant's tables have the columns for it."""
    state = tenant.plugins.get(KERNEL)
    return reached(_MIGRATIONS, state.revision if state else None, "0004")
