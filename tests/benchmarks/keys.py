"""What secrets and personal data cost: microseconds, beside AES-GCM by itself in the same run.

The limit of a secret is one ``AESGCM.decrypt`` of the same bytes; that of a person two calls, for
the person's key and for the facts. In a unit of work the limit is the bare statement that writes or
reads the people's keys, in the same transaction.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from figure import Figure

from pss_kernel import new_id
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.keys._sealed import new_key, place, seal, unseal
from pss_kernel.registry import Registry, _load
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit

__all__ = ["figures"]

# The plugin with secrets that the kernel's tests have.
sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "installed"))

_TIMES = int(os.environ.get("PSS_BENCH_KEYS", "20000"))
_TRANSACTIONS = 400
_PEOPLE = 4
_TOKEN = "sk_live_" + "x" * 32
_INSERT = """
INSERT INTO person_key (subject, data_key, wrapped)
SELECT subject, 1, wrapped FROM unnest($1::text[], $2::bytea[]) AS g (subject, wrapped)
"""
_SELECT = "SELECT subject, data_key, wrapped FROM person_key WHERE subject = ANY($1)"
_RAW = f"the bare statement for {_PEOPLE} people"
_FACTS = {
    "born_on": "1980-05-17",
    "email": "ada.keller@example.org",
    "phone": "+43 1 2345678",
    "documents": [{"type": "passport", "number": "P1234567", "issuing_country": "AT"}],
}


def figures() -> list[Figure]:
    """All figures of this module, on a throwaway installation."""
    with tempfile.TemporaryDirectory(prefix="pss-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # for the database server's own user to pass through
        return asyncio.run(_measured(folder))


async def _measured(folder: Path) -> list[Figure]:
    registry = Registry([_load(EntryPoint("guarded", "pss_guarded:plugin", "pss.plugins"))])
    async with open_installation(Config(data_dir=folder, log_level="error"), registry) as opened:
        tenant = await TestKit(opened).make_tenant(settings={"guarded": {"token": _TOKEN}})
        return [*_secret(opened, tenant), *await _people(opened, tenant)]


def _secret(installation: Installation, tenant: Tenant) -> list[Figure]:
    from pss_guarded import Settings  # noqa: PLC0415 - to be found once this module has run

    token = installation.settings_of(tenant, Settings).token
    assert token is not None
    key, nonce, where = AESGCM(os.urandom(32)), os.urandom(12), os.urandom(60)
    sealed = key.encrypt(nonce, _TOKEN.encode(), where)
    raw = _micros(lambda: key.decrypt(nonce, sealed, where))
    opened = _micros(token.reveal)
    return [Figure("secret_open_us", opened, "us", raw, "AESGCM.decrypt")]


async def _people(installation: Installation, tenant: Tenant) -> list[Figure]:
    now = installation.directory.by_code(tenant.code)
    seals, inserts, unseals, selects = [], [], [], []
    for _ in range(_TRANSACTIONS):
        people = {new_id("pax"): {"facts": _FACTS} for _ in range(_PEOPLE)}
        async with installation.unit_of_work(now) as uow:
            sealed, seconds = await _timed(uow.seal(people))
            seals.append(seconds)
            ids = [new_id("pax") for _ in people]
            wrapped = [os.urandom(77)] * len(ids)
            inserts.append((await _timed(uow.hot(_INSERT, ids, wrapped)))[1])
            opened, seconds = await _timed(uow.unseal(sealed))
            unseals.append(seconds)
            selects.append((await _timed(uow.hot(_SELECT, ids)))[1])
            if opened != people:
                sys.exit("What was sealed did not open.")
            await uow.hot("DELETE FROM person_key")
    key, nonce, where = AESGCM(os.urandom(32)), os.urandom(12), os.urandom(60)
    facts = msgspec.json.encode(_FACTS)
    ciphertext = key.encrypt(nonce, facts, where)
    keys = installation.keyring.of(now)
    opening = keys.seal(os.urandom(32), "person", "pax")

    def person_sealed() -> bytes:
        mine = new_key()
        keys.seal(mine, "person", "pax")
        return seal(AESGCM(mine), 0, place("x", "pax", "facts"), msgspec.json.encode(_FACTS))

    mine = AESGCM(keys.unseal(opening, "person", "pax"))
    kept = seal(mine, 0, place("x", "pax", "facts"), facts)

    def person_opened() -> object:
        own = AESGCM(keys.unseal(opening, "person", "pax"))
        return msgspec.json.decode(unseal(own, place("x", "pax", "facts"), kept))

    two = "2 x AESGCM"
    raw_seal = 2 * _micros(lambda: key.encrypt(nonce, facts, where))
    raw_open = 2 * _micros(lambda: key.decrypt(nonce, ciphertext, where))
    return [
        Figure("person_seal_us", _micros(person_sealed), "us", raw_seal, f"{two}.encrypt"),
        Figure("person_open_us", _micros(person_opened), "us", raw_open, f"{two}.decrypt"),
        Figure("people_seal_us", _median(seals), "us", _median(inserts), _RAW),
        Figure("people_unseal_us", _median(unseals), "us", _median(selects), _RAW),
    ]


async def _timed(work: Awaitable[Any]) -> tuple[Any, float]:
    begun = time.perf_counter()
    found = await work
    return found, time.perf_counter() - begun


def _median(seconds: list[float]) -> float:
    """In microseconds."""
    return statistics.median(seconds) * 1e6


def _micros(work: Callable[[], object]) -> float:
    """The median of several runs, for one call."""
    runs = []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(_TIMES // 5):
            work()
        runs.append((time.perf_counter() - begun) / (_TIMES // 5) * 1e6)
    return statistics.median(runs)


if __name__ == "__main__":
    for one in figures():
        sys.stdout.write(
            f"{one.name:30}{one.value:10.1f} {one.unit}  limit {one.limit or 0:10.1f}"
            f"  ratio {one.ratio or 0:6.2f}  {one.limit_name}\n"
        )
