"""Signing in through HTTP with a password and a second factor, and staying signed in."""

from __future__ import annotations

from datetime import datetime

from pss_kernel.identity.accounts.hashing import hashing
from pss_kernel.testing import TestKit
from pss_signing_in.people import identity_of, make_person

PASSWORD = "violet harbour lantern 29"
_SET = "UPDATE account SET password_hash = $2 WHERE account_id = $1"


async def test_password_and_code(kit: TestKit) -> None:
    """The password gives a step, the code a session; its proof grows old while it is refreshed."""
    tenant = await kit.make_tenant(plugins=["notes"])
    person = await make_person(kit, tenant, "admin")
    async with identity_of(kit, tenant) as uow:
        await uow.hot(_SET, person.account_id, await hashing.hash(PASSWORD))
    body = {"email": f"{person.account_id}@example.com", "password": PASSWORD}
    async with kit.http(tenant) as client:
        # Without a factor there is a session, which may do nothing but enrol one.
        first = await client.post("/v1/sessions", json=body)
        assert first.status_code == 201, first.text
        person.use(first.json()["access_token"])
        refused = await client.get("/v1/notes", headers=person.headers)
        assert refused.json()["code"] == "second-factor-required"
        await person.enrol(client)

        step = await client.post("/v1/sessions", json=body)
        assert step.status_code == 200, step.text
        assert step.json()["second_factor"]["kinds"] == ["totp"]
        token = step.json()["second_factor"]["step_token"]
        signed_in = await client.post(
            "/v1/sessions/second-factor",
            json={"step_token": token, "code": await person.unused_code()},
        )
        assert signed_in.status_code == 201, signed_in.text
        person.use(signed_in.json()["access_token"])
        before = (await client.get("/v1/me", headers=person.headers)).json()

        refreshed = await client.post(
            "/v1/sessions/refresh", json={"refresh_token": signed_in.json()["refresh_token"]}
        )
        assert refreshed.status_code == 200, refreshed.text
        person.use(refreshed.json()["access_token"])
        after = (await client.get("/v1/me", headers=person.headers)).json()
        assert after["methods"] == ["mfa", "otp", "pwd"]
        assert after["authenticated_at"] == before["authenticated_at"]

        raised = await client.post(
            "/v1/sessions/current/step-up",
            json={"code": await person.unused_code()},
            headers=person.headers,
        )
        assert raised.status_code == 200, raised.text
        proved = datetime.fromisoformat(raised.json()["authenticated_at"])
        assert proved > datetime.fromisoformat(before["authenticated_at"])
        # The step-up stands in the session: what is refreshed later says so too.
        again = await client.post(
            "/v1/sessions/refresh", json={"refresh_token": refreshed.json()["refresh_token"]}
        )
        person.use(again.json()["access_token"])
        last = (await client.get("/v1/me", headers=person.headers)).json()
        assert datetime.fromisoformat(last["authenticated_at"]) == proved.replace(microsecond=0)
