"""People for tests: an account, a session with a password, and a second factor where wanted."""

from __future__ import annotations

import time
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pyotp

from pss_kernel.config import IDENTITY
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.factors.policy import StepNeeded, second_factor
from pss_kernel.identity.sessions.opening import SignedIn, open_session
from pss_kernel.ids import new_id
from pss_kernel.persistence import UnitOfWork
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit

__all__ = ["UNHURRIED", "Person", "identity_of", "make_person"]

UNHURRIED = {"sign_in_per_minute": 10_000, "secret_per_minute": 10_000}
"""Limits of a tenant whose tests sign in all the time, so that they see what else refuses them."""

_ACCOUNT = """
INSERT INTO account (account_id, email, email_key, name, state, roles, created_by)
VALUES ($1, $2, $2, 'Somebody', 'active', $3, 'test')
"""


@dataclass
class Person:
    """Somebody with an account; ``headers`` are those of its session."""

    kit: TestKit
    tenant: Tenant
    account_id: str
    session_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    factor_id: str = ""
    secret: str = ""

    async def sign_in(self, methods: AbstractSet[str] = frozenset({"pwd"})) -> SignedIn:
        """Open a session, as after a password; from now on ``headers`` are of that one."""
        async with identity_of(self.kit, self.tenant) as uow:
            signed_in = await open_session(uow, await account_of(uow, self.account_id), methods)
        self.session_id = signed_in.session_id
        self.use(signed_in.access_token)
        return signed_in

    def use(self, access_token: str) -> None:
        """Send this token from now on."""
        self.headers = {"Authorization": f"Bearer {access_token}"}

    async def first_step(self) -> StepNeeded:
        """What a right password is answered with."""
        async with identity_of(self.kit, self.tenant) as uow:
            needed = await second_factor(uow, await account_of(uow, self.account_id), {"pwd"})
        assert needed is not None
        return needed

    async def enrol(self, client: httpx.AsyncClient) -> dict[str, Any]:
        """Add an authenticator app, through HTTP; the session has two factors afterwards."""
        begun = await client.post("/v1/me/factors/totp", json={}, headers=self.headers)
        assert begun.status_code == 201, begun.text
        self.factor_id, self.secret = begun.json()["id"], begun.json()["secret"]
        added = await client.post(
            f"/v1/me/factors/{self.factor_id}/confirm",
            json={"code": self.code()},
            headers=self.headers,
        )
        assert added.status_code == 200, added.text
        answer: dict[str, Any] = added.json()
        self.use(answer["token"]["access_token"])
        return answer

    def code(self, *, ahead: int = 0) -> str:
        """What the app shows, so many steps from now."""
        return pyotp.TOTP(self.secret).at(int(time.time()), counter_offset=ahead)

    async def unused_code(self) -> str:
        """What the app shows now, as if it had not been used."""
        async with identity_of(self.kit, self.tenant) as uow:
            await uow.hot(
                "UPDATE factor SET last_step = NULL WHERE account_id = $1", self.account_id
            )
        return self.code()

    async def audited(self) -> list[tuple[str, Any]]:
        """What the trail says of the account and its session: actions, and what was after."""
        async with identity_of(self.kit, self.tenant) as uow:
            rows = await uow.hot(
                "SELECT action, (entry::jsonb -> 'after')::text AS after FROM audit_entry "
                "WHERE subject = ANY($1) ORDER BY position",
                [self.account_id, self.session_id],
            )
        return [(row["action"], row["after"]) for row in rows]


async def make_person(kit: TestKit, tenant: Tenant, *roles: str) -> Person:
    """Somebody who has signed in with a password."""
    person = Person(kit, tenant, new_id("acc"))
    async with identity_of(kit, tenant) as uow:
        email = f"{person.account_id}@example.com"
        await uow.hot(_ACCOUNT, person.account_id, email, list(roles))
    await person.sign_in()
    return person


def identity_of(kit: TestKit, tenant: Tenant) -> AbstractAsyncContextManager[UnitOfWork]:
    """A unit of work of the built-in plugin."""
    return kit.installation.unit_of_work(tenant, plugin=IDENTITY)
