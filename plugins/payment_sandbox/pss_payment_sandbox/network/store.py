"""The network's memory: one SQLite file, so that a restart forgets nothing."""

import contextlib
import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from .charges import Charge, Refusal

__all__ = ["Answer", "KeyReused", "Store"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS charge (
    id TEXT PRIMARY KEY,
    merchant TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    document BLOB NOT NULL,
    UNIQUE (merchant, payment_id)
) STRICT;
CREATE TABLE IF NOT EXISTS operation (
    merchant TEXT NOT NULL,
    key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (merchant, key)
) STRICT;
"""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer as it is remembered; ``first`` is False when it is given again."""

    status: int
    body: bytes
    first: bool


class KeyReused(Exception):  # noqa: N818 - the network's answer, not a failure of it
    """The idempotency key was used with another request."""


class Store:
    """Charges and the answers already given, by merchant. Every change is one transaction."""

    def __init__(self, path: Path) -> None:
        # Autocommit: transactions begin and end where _exclusively says. All use of it happens
        # on the event loop's thread; statements on one local file take microseconds.
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA busy_timeout = 5000")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Write everything into the file and let it go."""
        self._connection.close()

    @staticmethod
    def new_charge_id() -> str:
        """Make an id that nobody guesses: it opens the challenge page."""
        return f"ch_{secrets.token_hex(16)}"

    def by_payment(self, merchant: str, payment_id: str) -> Charge | None:
        """Find the charge of a merchant's payment."""
        return self._one("merchant = ? AND payment_id = ?", merchant, payment_id)

    def by_id(self, charge_id: str, merchant: str | None = None) -> Charge | None:
        """Find the charge; only that merchant's, where one is named."""
        charge = self._one("id = ?", charge_id)
        return charge if charge and merchant in {None, charge.merchant} else None

    def once(
        self,
        merchant: str,
        key: str,
        request: bytes,
        operate: Callable[[], tuple[int, bytes, Charge | None]],
    ) -> Answer:
        """Operate, keep the charge and the answer together; the same key gets the same answer.

        Raises KeyReused when the key came with another request before.
        """
        digest = hashlib.sha256(request).hexdigest()
        with self._exclusively():
            known = self._connection.execute(
                "SELECT request_digest, status, body FROM operation WHERE merchant = ? AND key = ?",
                (merchant, key),
            ).fetchone()
            if known:
                if known[0] != digest:
                    raise KeyReused
                return Answer(status=known[1], body=known[2], first=False)
            status, body, charge = operate()
            if charge:
                self._put(charge)
            self._connection.execute(
                "INSERT INTO operation (merchant, key, request_digest, status, body)"
                " VALUES (?, ?, ?, ?, ?)",
                (merchant, key, digest, status, body),
            )
        return Answer(status=status, body=body, first=True)

    def change(self, charge_id: str, rule: Callable[[Charge], Charge]) -> Charge:
        """Apply a rule to a charge. Raises Refusal, also for a charge that is not there."""
        with self._exclusively():
            charge = self.by_id(charge_id)
            if charge is None:
                raise Refusal("charge-unknown", "There is no such charge.")
            changed = rule(charge)
            self._put(changed)
        return changed

    def _put(self, charge: Charge) -> None:
        self._connection.execute(
            "INSERT INTO charge (id, merchant, payment_id, document) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
            (charge.id, charge.merchant, charge.payment_id, msgspec.json.encode(charge)),
        )

    def _one(self, condition: str, *values: str) -> Charge | None:
        row = self._connection.execute(
            f"SELECT document FROM charge WHERE {condition}",  # noqa: S608 - two fixed conditions
            values,
        ).fetchone()
        return msgspec.json.decode(row[0], type=Charge) if row else None

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
