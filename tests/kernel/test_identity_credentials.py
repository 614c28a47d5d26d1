"""Passwords, tokens, keys, secrets and codes: in answers, and nowhere else."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyotp

from pss_kernel.config import IDENTITY, Config
from pss_kernel.identity.accounts.changes import invite
from pss_kernel.identity.accounts.links import make_link
from pss_kernel.observability import configure_logging
from pss_kernel.tenancy._contents import tables_of
from pss_kernel.testing import TestKit

_ROWS = "SELECT t::text FROM {} t"


@contextmanager
def _logged() -> Iterator[io.StringIO]:
    """What is logged for debugging within the block."""
    out = io.StringIO()
    with redirect_stderr(out):
        configure_logging(Config(data_dir=Path(), log_level="debug", log_format="json"))
        yield out
    configure_logging(Config(data_dir=Path(), log_level="warning"))


async def _link(kit: TestKit, tenant: Any, email: str) -> str:
    """The token of an invitation, as the mail has it."""
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        account = await invite(uow, email=email, name="Somebody", roles=["super_admin"])
        return await make_link(uow, account, "invitation", email)


async def _journey(kit: TestKit, tenant: Any) -> dict[str, str]:
    """Everything that deals in credentials, done right and done wrong; what must stay secret."""
    email, password = f"{secrets.token_hex(4)}@example.org", f"heron {secrets.token_hex(8)} dawn"
    wrong = f"wrong {secrets.token_hex(8)}"
    found = {"password": password, "wrong password": wrong}
    found["link"] = await _link(kit, tenant, email)
    async with kit.http(tenant) as client:

        async def post(path: str, body: Any, *, status: int, **more: Any) -> Any:
            answer = await client.post(
                path, json=body, headers={"Idempotency-Key": str(uuid4())}, **more
            )
            assert status == answer.status_code, answer.text
            return answer.json()

        accepting = {"token": found["link"], "password": password}
        await post("/v1/account-links/acceptances", accepting, status=200)
        await post("/v1/account-links/acceptances", accepting, status=410)
        await post("/v1/sessions", {"email": email, "password": wrong}, status=401)
        signed_in = await post("/v1/sessions", {"email": email, "password": password}, status=201)
        found["access token"] = signed_in["access_token"]
        found["refresh token"] = signed_in["refresh_token"]
        client.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
        app = await post("/v1/me/factors/totp", {}, status=201)
        found["secret of the app"] = app["secret"]
        code = {"code": pyotp.TOTP(app["secret"]).now()}
        added = await post(f"/v1/me/factors/{app['id']}/confirm", code, status=200)
        found["raised token"] = added["token"]["access_token"]
        client.headers["Authorization"] = f"Bearer {found['raised token']}"
        codes = await post("/v1/me/factors/recovery-codes", {}, status=201)
        found |= {f"recovery code {n}": one for n, one in enumerate(codes["codes"])}
        key = await post("/v1/api-keys", {"name": "shop", "scopes": ["identity:self"]}, status=201)
        found["key's secret"] = key["key"].rpartition("_")[2]
        client.headers["Authorization"] = f"Bearer {key['key']}x"
        assert 401 == (await client.get("/v1/me")).status_code
        del client.headers["Authorization"]
        refreshing = {"refresh_token": found["refresh token"]}
        again = await post("/v1/sessions/refresh", refreshing, status=200)
        found["second refresh token"] = again["refresh_token"]
        await post("/v1/sessions/refresh", refreshing, status=401)
        await post("/v1/sessions/refresh", refreshing | {"more": 1}, status=422)
    return found


async def test_credentials_are_kept_and_logged_nowhere(kit: TestKit) -> None:
    """Neither the log nor a table has one in clear; kept answers to repeated requests neither."""
    tenant = await kit.make_tenant()
    with _logged() as log:
        found = await _journey(kit, tenant)
    said = log.getvalue()
    assert "signed_in" in said  # it was listened to
    assert [] == [what for what, text in found.items() if text in said]
    async with kit.installation.cell(tenant).owner() as owner:
        tables = await tables_of(owner, tenant.schema)
        places = [f'"{tenant.schema}"."{one.name}"' for one in tables]
        places += ["pss.outbox", "pss.api_key", "pss.token_cutoff"]
        rows = [row[0] for place in places for row in await owner.fetch(_ROWS.format(place))]
    assert len(rows) > 20
    # As a column of bytes shows it, too.
    forms = {what: (text, text.encode().hex()) for what, text in found.items()}
    kept = {what for what, texts in forms.items() for row in rows if any(t in row for t in texts)}
    assert set() == kept
