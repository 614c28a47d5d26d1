"""Nothing of one airline is read or changed with another airline's credentials."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import httpx
import pytest

from pss_outside.openapi import Operation, operations, sent_to, targets

pytestmark = [pytest.mark.xdist_group("security")]

# They take one of several proofs, which no schema says; tests/kernel/test_identity_factors*.
_ONE_PROOF = {"/v1/sessions/second-factor", "/v1/sessions/current/step-up"}
_NO_CHALLENGE = "passkey-refused"  # nobody can answer one that was never asked
_REFUSED = {401, 403, 404, 409, 410}


@pytest.fixture(scope="module")
async def every(document: Any) -> list[Operation]:
    """Every operation of a plugin."""
    found = operations(document)
    assert len(found) > 30
    return found


async def _everything(side: Any) -> dict[str, str]:
    """A digest of each table of an airline."""
    schema = side.tenant.schema
    async with side.kit.installation.database.owner() as owner:
        tables = await owner.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", schema
        )
        digest = "SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM"
        return {
            table: await owner.fetchval(f'{digest} {schema}."{table}" t')
            for table in (row["table_name"] for row in tables)
        }


async def test_the_ids_are_good(victim: Any, belongings: Any, document: Any, every: Any) -> None:
    """The victim's own people read all this: what the attacker asks for does exist."""
    wrong = []
    async with victim.super_admin() as admin:
        for operation in every:
            if operation.method != "GET":
                continue
            path = next(targets(operation, belongings.named))
            arguments = sent_to(operation, document, belongings.named)
            client = admin if operation.plugin == "identity" else victim.staff
            answer = await client.get(path, **arguments)
            if answer.status_code != 200:
                wrong.append((str(operation), answer.text))
    assert [] == wrong


@pytest.mark.parametrize("who", ["staff", "guest", "super_admin"])
async def test_foreign_ids(
    attacker: Any, victim: Any, belongings: Any, document: Any, every: Any, who: str
) -> None:
    """Every operation with the victim's ids: refused, or an answer without anything of it."""
    before = await _everything(victim)
    if who == "super_admin":
        async with attacker.super_admin() as person:
            # Whoever signs out is refused afterwards for that alone.
            sorted_ = sorted(every, key=lambda one: one.path == "/v1/sessions/current")
            leaks, shapes = await _asked(person, belongings, document, sorted_)
    else:
        leaks, shapes = await _asked(getattr(attacker, who), belongings, document, every)
    assert [] == leaks
    # A request that is refused for its shape proves nothing: pss_outside.openapi needs a word.
    assert [] == shapes
    assert before == await _everything(victim)


async def _asked(
    client: httpx.AsyncClient, belongings: Any, document: Any, every: list[Operation]
) -> tuple[list[Any], list[Any]]:
    """What was answered that should not be; and what was refused for its shape."""
    leaks, shapes = [], []
    for operation in every:
        arguments = sent_to(operation, document, belongings.named)
        sent = json.dumps(arguments)
        for place, path in enumerate(targets(operation, belongings.named)):
            answer = await client.request(operation.method, path, **arguments)
            assert answer.status_code < 500, (str(operation), path, answer.text)
            secrets = {one for one in belongings.secrets if one not in sent and one not in path}
            if answer.is_success and any(one in answer.text for one in secrets):
                leaks.append((str(operation), path, answer.text[:300]))
            refused = answer.status_code in _REFUSED or _NO_CHALLENGE in answer.text
            refused = refused or operation.path in _ONE_PROOF
            if place == 0 and not (answer.is_success or refused):
                shapes.append((str(operation), path, answer.text[:300]))
            if operation.in_path and answer.is_success:
                leaks.append((str(operation), path, answer.text[:300]))
    return leaks, shapes


async def test_foreign_key(
    attacker: Any, victim: Any, belongings: Any, document: Any, every: Any
) -> None:
    """A key of one airline is refused at the other before anything else is looked at."""
    headers = {"PSS-Tenant": victim.tenant.code}
    for operation in every:
        path = next(targets(operation, belongings.named))
        for arguments in (
            sent_to(operation, document, belongings.named),
            {"content": b"not json", "headers": {"Content-Type": "application/json"}},
        ):
            arguments["headers"] = arguments.get("headers", {}) | headers
            answer = await attacker.staff.request(operation.method, path, **arguments)
            found = (answer.status_code, answer.json().get("code"))
            assert (403, "wrong-tenant") == found, (str(operation), answer.text)


async def test_guest_of_another_airline(attacker: Any, belongings: Any) -> None:
    """Reference and name that open an order at one airline open nothing at the other."""
    named = belongings.named
    known = {one: named[one] for one in ("booking_reference", "family_name")}
    order = named["order_id"]
    http = attacker.guest
    answers = [
        await http.get("/v1/orders", params=known),
        await http.get(f"/v1/orders/{order}", params=known),
        await http.post(f"/v1/orders/{order}/cancellations", params=known),
        await http.post("/v1/check-ins", json=known),
        await http.get(f"/v1/meals/{order}", params=known),
        await http.get("/v1/seat-maps", params={"order_id": order}),
        await http.get(f"/v1/boarding-passes/{named['pass_id']}/document.pdf"),
        await http.get(f"/v1/payments/{named['payment_id']}"),
    ]
    assert {404} == {one.status_code for one in answers}
    assert not any(named["family_name"] in one.text for one in answers)


async def test_own_host_foreign_header(victim: Any, attacker: Any) -> None:
    """A host name and a header that contradict each other are refused."""
    answer = await attacker.guest.get(
        "/v1/markets", headers={"Host": f"{victim.tenant.code}.localhost"}
    )
    assert (400, "tenant-mismatch") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM {schema}.orders",
        "INSERT INTO {schema}.airport VALUES ('AAA', 'A', 'A', 'AT', 'Europe/Vienna')",
        "UPDATE {schema}.orders SET status = 'cancelled'",
        "DELETE FROM {schema}.event",
        "TRUNCATE {schema}.payment",
        "CREATE TABLE {schema}.mine (a int)",
        "DROP TABLE {schema}.orders",
        "SELECT * FROM pss.outbox",
        "SELECT * FROM pss.api_key",
        "UPDATE pss.tenant SET name = 'mine'",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY {schema}.orders TO PROGRAM 'cat'",
    ],
)
async def test_raw_sql_of_a_plugin(attacker: Any, victim: Any, statement: str) -> None:
    """SQL that names another airline's schema fails in the database, whoever wrote it."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _run(attacker, statement.format(schema=victim.tenant.schema))


@pytest.mark.parametrize(
    "statement",
    [
        "RESET ROLE",
        "SET ROLE NONE",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET SESSION AUTHORIZATION postgres",
    ],
)
async def test_leaving_the_role_gains_nothing(attacker: Any, victim: Any, statement: str) -> None:
    """Out of its airline's role, the application's login has no rights at any airline."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _run(attacker, statement, f"SELECT * FROM {victim.tenant.schema}.orders")


async def _run(side: Any, *statements: str) -> None:
    async with side.kit.unit_of_work(side.tenant) as uow:
        for statement in statements:
            await uow.hot(statement)


async def test_binding_ends_with_the_transaction(attacker: Any, victim: Any) -> None:
    """Many units of work of both airlines on the same connections each see their own orders."""
    name = "SELECT current_schema() AS schema, current_user::text AS role"
    for side in (attacker, victim) * 10:
        async with side.kit.unit_of_work(side.tenant) as uow:
            (row,) = await uow.hot(name)
        assert side.tenant.schema == row["schema"]
        assert row["role"].endswith(f"t_{side.tenant.code}")


async def test_without_credentials(victim: Any, belongings: Any, document: Any, every: Any) -> None:
    """What is for staff is 401 without a key, whatever is sent; what guests may do is not."""
    wrong = []
    for operation in every:
        path = next(targets(operation, belongings.named))
        bodies = [
            {"content": b"not json", "headers": {"Content-Type": "application/json"}},
            {},
        ]
        if not operation.guest:
            bodies.append(sent_to(operation, document, belongings.named))
        for arguments in bodies:
            answer = await victim.guest.request(operation.method, path, **arguments)
            if answer.status_code >= 500 or (not operation.guest and answer.status_code != 401):
                wrong.append((str(operation), answer.status_code, answer.text[:200]))
    assert [] == wrong


async def test_key_without_permissions(
    victim: Any, belongings: Any, document: Any, every: Any
) -> None:
    """A key that lacks the permission is 403, and says which permission it is."""
    wrong = []
    for operation in every:
        if operation.guest:
            continue
        path = next(targets(operation, belongings.named))
        arguments = sent_to(operation, document, belongings.named)
        for sent in (arguments, {"content": b"not json"}):
            answer = await victim.powerless.request(operation.method, path, **sent)
            if (403, "missing-permission") != (answer.status_code, answer.json().get("code")):
                wrong.append((str(operation), answer.status_code, answer.text[:200]))
    assert [] == wrong


async def test_plugin_that_is_not_enabled(attacker: Any, every: Any, belongings: Any) -> None:
    """Where no plugin is enabled each operation is 404, whatever is sent."""
    bare = await attacker.kit.make_tenant(plugins=[])
    async with attacker.kit.http(bare, ["*"]) as client:
        for operation in every:
            if operation.plugin == "identity":
                continue  # every tenant has it
            path = next(targets(operation, belongings.named))
            answer = await client.request(operation.method, path, content=b"not json")
            found = (answer.status_code, answer.json().get("code"))
            assert (404, "plugin-not-enabled") == found, (str(operation), answer.text)


async def test_refusals_are_documented(document: Any, every: Any) -> None:
    """Every operation tells its refusals, as problem documents."""
    for operation in every:
        assert {"400", "401", "403", "404", "409", "422", "503"} <= operation.responses.keys()
        for status, response in operation.responses.items():
            if status.startswith(("4", "5")):
                assert ["application/problem+json"] == [*response["content"]], str(operation)
