"""Signing in with a password: who is let in, how guesses are counted, and what a refusal tells."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher

from pss_kernel.config import IDENTITY
from pss_kernel.errors import Unauthorised, Unavailable
from pss_kernel.identity.accounts import hashing as hashing_module
from pss_kernel.identity.accounts import passwords
from pss_kernel.identity.accounts.hashing import Hashing
from pss_kernel.identity.accounts.passwords import check_password
from pss_kernel.identity.accounts.store import Account, account_by_email, account_of
from pss_kernel.ids import new_id
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit

pytestmark = pytest.mark.asyncio(loop_scope="session")

RIGHT = "violet harbour lantern 29"
WRONG = "some other words entirely 4"
_INSERT = """
INSERT INTO account (account_id, email, email_key, name, state, password_hash, created_by)
VALUES ($1, $2, lower($2), 'Somebody', $3, $4, 'test')
"""


class Counting(Hashing):
    """As the real one with cheap parameters; says what it was asked to look at."""

    def __init__(self) -> None:
        super().__init__(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        self.verified: list[bool] = []

    async def verify(self, kept: str | None, password: str) -> bool:
        """Remember whether there was a hash to compare with."""
        self.verified.append(kept is not None)
        return await super().verify(kept, password)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """In place of the real hashing."""
    counting = Counting()
    monkeypatch.setattr(passwords, "hashing", counting)
    return counting


@pytest.fixture
def make_account(kit: TestKit) -> Callable[..., Awaitable[Account]]:
    """An account with a password, in any state."""

    async def make(
        tenant: Tenant,
        email: str,
        *,
        state: str = "active",
        password: str | None = RIGHT,
        hasher: Any = None,
    ) -> Account:
        by = hasher or PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        kept = by.hash(password) if password else None
        account_id = new_id("acc")
        async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            await uow.hot(_INSERT, account_id, email, state, kept)
            return await account_of(uow, account_id)

    return make


async def attempt(kit: TestKit, tenant: Tenant, email: str, password: str) -> Account:
    """As a route does it."""
    async with kit.installation.work(tenant, plugin=IDENTITY) as work:
        return await check_password(work, email, password)


async def read(kit: TestKit, tenant: Tenant, email: str) -> Account:
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        found = await account_by_email(uow, email)
    assert found is not None
    return found


async def refusal(kit: TestKit, tenant: Tenant, email: str, password: str) -> Unauthorised:
    with pytest.raises(Unauthorised) as refused:
        await attempt(kit, tenant, email, password)
    return refused.value


async def test_right_password(kit: TestKit, make_account: Any, cheap: Counting) -> None:
    """The address may be written as people write it; what was counted is forgotten."""
    tenant = await kit.make_tenant()
    made = await make_account(tenant, "Ada@Example.com")
    await refusal(kit, tenant, "ada@example.com", WRONG)
    found = await attempt(kit, tenant, " ADA@example.COM", RIGHT)
    assert (found.account_id, found.failed_attempts) == (made.account_id, 0)


async def test_refusals_are_alike(kit: TestKit, make_account: Any, cheap: Counting) -> None:
    """Nobody learns who has an account: one answer, and as much hashing, whatever the reason."""
    tenant = await kit.make_tenant()
    await make_account(tenant, "active@example.com")
    await make_account(tenant, "disabled@example.com", state="disabled")
    await make_account(tenant, "invited@example.com", state="invited", password=None)
    await make_account(tenant, "sso@example.com", password=None)
    cases = [
        ("nobody@example.com", RIGHT),
        ("no address at all", RIGHT),
        ("active@example.com", WRONG),
        ("active@example.com", RIGHT + "x" * 200),
        ("disabled@example.com", RIGHT),
        ("invited@example.com", RIGHT),
        ("sso@example.com", RIGHT),
    ]
    said = {(one.code, one.sentence) for one in [await refusal(kit, tenant, *c) for c in cases]}
    assert len(said) == 1
    assert [code for code, _ in said] == ["wrong-credentials"]
    assert len(cheap.verified) == len(cases)


async def test_lock(kit: TestKit, make_account: Any, cheap: Counting) -> None:
    """After five wrong ones even the right one is refused, and isn't looked at."""
    tenant = await kit.make_tenant()
    await make_account(tenant, "ada@example.com")
    for _ in range(5):
        await refusal(kit, tenant, "ada@example.com", WRONG)
    refused = await refusal(kit, tenant, "ada@example.com", RIGHT)
    assert refused.code == "wrong-credentials"
    assert cheap.verified == [True] * 5 + [False]
    found = await read(kit, tenant, "ada@example.com")
    assert (found.failed_attempts, found.refused_attempts) == (5, 1)


@pytest.mark.parametrize(
    ("before", "seconds"), [(3, None), (4, 30), (5, 60), (6, 120), (11, 3600), (90, 3600)]
)
async def test_growing_delay(
    kit: TestKit, make_account: Any, cheap: Counting, before: int, seconds: int | None
) -> None:
    """The fifth wrong one locks for 30 s, each further one for twice as long, an hour at most."""
    tenant = await kit.make_tenant()
    made = await make_account(tenant, "ada@example.com")
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await uow.hot(
            "UPDATE account SET failed_attempts = $2, locked_until = now() - interval '1 second' "
            "WHERE account_id = $1",
            made.account_id,
            before,
        )
    await refusal(kit, tenant, "ada@example.com", WRONG)
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        locked, now = (await account_of(uow, made.account_id)).locked_until, await uow.now()
    if seconds is None:
        assert locked is None
    else:
        assert locked is not None
        assert timedelta(seconds=seconds - 5) < locked - now <= timedelta(seconds=seconds)


async def test_settings_decide(kit: TestKit, make_account: Any, cheap: Counting) -> None:
    """A tenant may lock sooner."""
    tenant = await kit.make_tenant(settings={IDENTITY: {"lockout_attempts": 3}})
    await make_account(tenant, "ada@example.com")
    for _ in range(4):
        await refusal(kit, tenant, "ada@example.com", WRONG)
    assert cheap.verified == [True] * 3 + [False]


async def test_fifty_at_once(kit: TestKit, make_account: Any, cheap: Counting) -> None:
    """All are counted; no more are looked at than one after the other would be."""
    tenant = await kit.make_tenant()
    await make_account(tenant, "ada@example.com")
    cheap._asked = -50  # this is about the database's counting
    said = await asyncio.gather(
        *(attempt(kit, tenant, "ada@example.com", f"{WRONG} {n}") for n in range(50)),
        return_exceptions=True,
    )
    codes = {getattr(one, "code", repr(one)) for one in said}
    # More units of work at once than one plugin may have are turned away uncounted.
    tried = sum(getattr(one, "code", "") == "wrong-credentials" for one in said)
    assert codes <= {"wrong-credentials", "plugin-busy"}
    found = await read(kit, tenant, "ada@example.com")
    assert cheap.verified.count(True) == found.failed_attempts == 5
    assert found.failed_attempts + found.refused_attempts == tried


async def test_rehash(kit: TestKit, make_account: Any, cheap: Counting) -> None:
    """What was hashed with other parameters is hashed anew when its owner signs in."""
    tenant = await kit.make_tenant()
    old = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    made = await make_account(tenant, "ada@example.com", hasher=old)
    await attempt(kit, tenant, "ada@example.com", RIGHT)
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        rows = await uow.hot(
            "SELECT password_hash FROM account WHERE account_id = $1", made.account_id
        )
    assert not cheap.is_outdated(rows[0]["password_hash"])
    assert (await attempt(kit, tenant, "ada@example.com", RIGHT)).account_id == made.account_id


async def test_disabled_while_checking(
    kit: TestKit, make_account: Any, cheap: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right password is of no use where the account is disabled before the answer."""
    tenant = await kit.make_tenant()
    made = await make_account(tenant, "ada@example.com")
    verify = cheap.verify

    async def slowly(kept: str | None, password: str) -> bool:
        async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            await uow.hot(
                "UPDATE account SET state = 'disabled' WHERE account_id = $1", made.account_id
            )
        return await verify(kept, password)

    monkeypatch.setattr(cheap, "verify", slowly)
    assert (await refusal(kit, tenant, "ada@example.com", RIGHT)).code == "wrong-credentials"


async def test_trail(kit: TestKit, make_account: Any, cheap: Counting) -> None:
    """Each wrong password that was looked at stands in the trail, without the address."""
    tenant = await kit.make_tenant()
    made = await make_account(tenant, "ada@example.com")
    for _ in range(7):
        await refusal(kit, tenant, "ada@example.com", WRONG)
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        rows = await uow.hot(
            "SELECT action, subject, entry FROM audit_entry WHERE action LIKE 'account.%'"
        )
    assert [(r["action"], r["subject"]) for r in rows] == [
        ("account.sign-in-refused", made.account_id)
    ] * 5
    assert all("ada@" not in r["entry"] and WRONG not in r["entry"] for r in rows)


async def test_too_many_wait(cheap: Counting) -> None:
    """Where too many passwords wait to be hashed, further ones are asked to come again."""
    cheap._asked = 1000
    with pytest.raises(Unavailable) as refused:
        await cheap.verify(None, RIGHT)
    assert (refused.value.code, refused.value.retryable) == ("sign-in-busy", True)


async def test_normal_form() -> None:
    """A password is the same however its accents were typed."""
    one = Counting()
    assert await one.verify(await one.hash("cafe\u0301 noir Zu\u0308rich"), "café noir Zürich")


async def test_parameters() -> None:
    """Argon2id with the second recommended parameters of RFC 9106."""
    kept = await hashing_module.hashing.hash(RIGHT)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_times(kit: TestKit, make_account: Any) -> None:
    """Known and unknown addresses take about as long (with the real hashing; medians)."""
    tenant = await kit.make_tenant(settings={IDENTITY: {"lockout_attempts": 100}})
    await make_account(tenant, "ada@example.com", hasher=hashing_module.hashing._hasher)
    spent: dict[str, list[float]] = {"ada@example.com": [], "nobody@example.com": []}
    for _ in range(7):
        for email, times in spent.items():
            began = time.perf_counter()
            await refusal(kit, tenant, email, WRONG)
            times.append(time.perf_counter() - began)
    known, unknown = (statistics.median(times) for times in spent.values())
    assert 1 / 3 < known / unknown < 3
