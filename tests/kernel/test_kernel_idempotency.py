"""The Idempotency-Key of a POST: one effect, and the same answer again."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
import pytest_asyncio

from pss_api.app import build
from pss_kernel import Conflict, Tenant, Unauthorised, Unavailable
from pss_kernel.auth import parse_api_key
from pss_kernel.installation import Installation
from pss_kernel.persistence._idempotency import forget_old_keys
from pss_kernel.registry import Registry
from pss_kernel.testing import TestKit
from pss_notes import store


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(kit: TestKit) -> Tenant:
    """A fresh tenant with notes."""
    return await kit.make_tenant(plugins=["notes"])


@pytest_asyncio.fixture(loop_scope="session")
async def client(tenant: Tenant, http: Any) -> Any:
    """Its staff."""
    return await http(tenant, scopes=["notes:*"])


async def _notes(kit: TestKit, tenant: Tenant) -> int:
    async with kit.unit_of_work(tenant) as uow:
        return (await uow.hot("SELECT count(*) FROM note"))[0][0]


@pytest.mark.parametrize("path", ["/v1/notes", "/v1/dictations"])
async def test_the_same_request_again(kit: TestKit, tenant: Tenant, client: Any, path: str) -> None:
    """Same key and body: same status and answer, marked as replayed, and one effect."""
    answers = [
        await client.post(path, json={"body": "a"}, headers={"Idempotency-Key": "k-1"})
        for _ in range(3)
    ]
    assert [201] * 3 == [one.status_code for one in answers]
    assert 1 == len({one.content for one in answers})
    assert [None, "true", "true"] == [one.headers.get("Idempotent-Replayed") for one in answers]
    assert 1 == await _notes(kit, tenant)


async def test_the_status_is_replayed_too(kit: TestKit, tenant: Tenant, client: Any) -> None:
    """An answer with a status of its own is given again with that status."""
    async with kit.unit_of_work(tenant) as uow:
        await store.set_counter(uow, "c", 5)
    for _ in range(2):
        answer = await client.post("/v1/counters/c/takes", headers={"Idempotency-Key": "k"})
        assert (202, {"took": "c"}) == (answer.status_code, answer.json())
    async with kit.unit_of_work(tenant) as uow:
        assert 4 == await store.left_in(uow, "c")


@pytest.mark.parametrize("path", ["/v1/notes", "/v1/dictations"])
async def test_another_body_is_refused(
    kit: TestKit, tenant: Tenant, client: Any, path: str
) -> None:
    """Same key, other body: 422, and no second effect."""
    key = {"Idempotency-Key": "k-2"}
    await client.post(path, json={"body": "a"}, headers=key)
    answer = await client.post(path, json={"body": "b"}, headers=key)
    assert (422, "idempotency-key-reused") == (answer.status_code, answer.json()["code"])
    assert 1 == await _notes(kit, tenant)


async def test_another_resource_or_query_is_refused(
    kit: TestKit, tenant: Tenant, client: Any
) -> None:
    """The key is bound to the resource and the query as well, not to the body alone."""
    async with kit.unit_of_work(tenant) as uow:
        await store.set_counter(uow, "c", 5)
        await store.set_counter(uow, "d", 5)
    key = {"Idempotency-Key": "k"}
    paths = ["/v1/counters/c/takes", "/v1/counters/d/takes", "/v1/counters/c/takes?as=other"]
    statuses = [(await client.post(path, headers=key)).status_code for path in paths]
    assert [202, 422, 422] == statuses


async def test_keys_of_two_callers_are_apart(
    kit: TestKit, tenant: Tenant, client: Any, http: Any
) -> None:
    """Two callers that use the same key do not meet; nor do two tenants."""
    colleague = await http(tenant, scopes=["*"])
    elsewhere = await http(await kit.make_tenant(plugins=["notes"]), scopes=["*"])
    made = set()
    for one, body in ((client, "a"), (colleague, "b"), (elsewhere, "c")):
        answer = await one.post("/v1/notes", json={"body": body}, headers={"Idempotency-Key": "k"})
        assert 201 == answer.status_code
        made.add(answer.json()["id"])
    assert 3 == len(made)


@pytest.mark.parametrize("path", ["/v1/notes", "/v1/dictations"])
async def test_twenty_at_once(kit: TestKit, tenant: Tenant, client: Any, path: str) -> None:
    """Of twenty at once one does it; the others wait for its answer or get a retryable 409."""

    async def post() -> Any:
        return await client.post(path, json={"body": "a"}, headers={"Idempotency-Key": "k"})

    answers = await asyncio.gather(*(post() for _ in range(20)))
    assert {201, 409} >= {one.status_code for one in answers}
    assert 1 == len({one.content for one in answers if one.status_code == 201})
    assert {"idempotency-in-progress"} >= {
        one.json()["code"] for one in answers if one.status_code == 409
    }
    assert 1 == await _notes(kit, tenant)
    assert 201 == (await post()).status_code


@pytest.mark.parametrize(
    ("path", "script"), [("/v1/notes", "writing"), ("/v1/counters/none/takes", "")]
)
async def test_a_failed_request_leaves_the_key_usable(
    kit: TestKit, tenant: Tenant, client: Any, scripts: dict[str, Any], path: str, script: str
) -> None:
    """An error keeps nothing: the same key may try again, and then succeeds."""

    async def fail(*_: Any) -> None:
        raise Unavailable("Not now.")

    scripts["writing"] = fail
    body = {"json": {"body": "a"}} if script else {}
    first = await client.post(path, headers={"Idempotency-Key": "k"}, **body)
    assert first.status_code in {503, 409}
    scripts.clear()
    async with kit.unit_of_work(tenant) as uow:
        await store.set_counter(uow, "none", 1)
    again = await client.post(path, headers={"Idempotency-Key": "k"}, **body)
    assert again.is_success
    assert "Idempotent-Replayed" not in again.headers


async def test_work_that_died_half_way(
    kit: TestKit, tenant: Tenant, client: Any, scripts: dict[str, Any]
) -> None:
    """After its first unit of work the key waits a minute, then may go on."""

    async def fail(*_: Any) -> None:
        raise Conflict("The other company said no.", code="said-no")

    scripts["dictating"] = fail
    request = {"json": {"body": "a"}, "headers": {"Idempotency-Key": "k"}}
    assert "said-no" == (await client.post("/v1/dictations", **request)).json()["code"]
    scripts.clear()
    waiting = await client.post("/v1/dictations", **request)
    assert (409, "idempotency-in-progress", True) == (
        waiting.status_code,
        waiting.json()["code"],
        waiting.json()["retryable"],
    )
    async with kit.unit_of_work(tenant) as uow:
        await uow.hot("UPDATE idempotency SET claimed_at = now() - interval '61 seconds'")
    assert 201 == (await client.post("/v1/dictations", **request)).status_code
    assert 1 == await _notes(kit, tenant)


async def test_no_key_no_memory(kit: TestKit, tenant: Tenant, client: Any) -> None:
    """Without a key each POST has its own effect."""
    for _ in range(2):
        assert 201 == (await client.post("/v1/notes", json={"body": "a"})).status_code
    assert 2 == await _notes(kit, tenant)


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tinside"])
async def test_a_key_that_can_not_be(client: Any, key: str) -> None:
    """A key is 1 to 255 printable characters."""
    answer = await client.post("/v1/notes", json={"body": "a"}, headers={"Idempotency-Key": key})
    assert (400, "invalid-idempotency-key") == (answer.status_code, answer.json()["code"])


async def test_keys_are_forgotten_after_a_day(kit: TestKit) -> None:
    """What was answered longer ago is gone; what was answered today is kept."""
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.unit_of_work(tenant) as uow:
        await uow.hot(
            "INSERT INTO idempotency (scope, key, fingerprint, claimed_at) "
            "SELECT 's', age::text, '', now() - make_interval(hours => age) "
            "FROM unnest(ARRAY[1, 23, 25, 100]) AS age"
        )
        await forget_old_keys(uow)
        kept = await uow.hot("SELECT key FROM idempotency ORDER BY key")
    assert ["1", "23"] == [row["key"] for row in kept]


async def _kept(kit: TestKit, tenant: Tenant) -> list[Any]:
    async with kit.installation.cell(tenant).owner() as owner:
        rows: list[Any] = await owner.fetch(f'SELECT * FROM "{tenant.schema}".idempotency')
    return rows


@pytest.mark.parametrize("path", ["/v1/notes", "/v1/dictations", "/v1/secret-notes"])
async def test_what_is_kept_is_sealed(kit: TestKit, tenant: Tenant, client: Any, path: str) -> None:
    """Neither the answer nor a digest of the request that could be guessed at is in the table."""
    send = {"json": {"body": "a rare word"}, "headers": {"Idempotency-Key": "k"}}
    first = await client.post(path, **send)
    (row,) = await _kept(kit, tenant)
    target = f"{path}?".encode() + b"\0" + first.request.content
    assert 201 == first.status_code
    assert first.content not in row["body"]
    assert hashlib.sha256(target).digest() not in row["fingerprint"]
    again = await client.post(path, **send)
    assert (first.content, "true") == (again.content, again.headers["Idempotent-Replayed"])
    other = await client.post(path, json={"body": "another"}, headers=send["headers"])
    assert (422, "idempotency-key-reused") == (other.status_code, other.json()["code"])


async def test_what_was_kept_in_clear(kit: TestKit, tenant: Tenant, client: Any) -> None:
    """An answer of before they were sealed is given again all the same."""
    body = b'{"body":"a"}'
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    key_id = parse_api_key(client.headers["Authorization"].partition(" ")[2])[0]
    async with kit.unit_of_work(tenant) as uow:
        await uow.hot(
            "INSERT INTO idempotency (scope, key, fingerprint, status, body) "
            "VALUES ($1, 'k', $2, 201, 'earlier')",
            f"key:{key_id} POST /notes",
            hashlib.sha256(b"/v1/notes?\0" + body).digest(),
        )
    answer = await client.post("/v1/notes", content=body, headers=headers)
    assert (201, b"earlier") == (answer.status_code, answer.content)


async def test_on_tables_of_the_version_before(kit: TestKit, http: Any) -> None:
    """Until a tenant's tables have the columns, it goes on in clear, with nothing confidential."""
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.installation.cell(tenant).owner() as owner, owner.transaction():
        await owner.execute(
            f'ALTER TABLE "{tenant.schema}".idempotency DROP COLUMN data_key, DROP COLUMN subjects'
        )
        await owner.execute(
            "UPDATE pss.tenant_plugin SET revision = '0003' "
            "WHERE tenant = $1 AND plugin = 'kernel'",
            tenant.code,
        )
    await kit.installation.directory.refresh()
    tenant = kit.installation.directory.by_code(tenant.code)
    client = await http(tenant, scopes=["notes:*"])
    send = {"json": {"body": "a"}, "headers": {"Idempotency-Key": "k"}}
    answers = [await client.post("/v1/notes", **send) for _ in range(2)]
    assert 1 == len({one.content for one in answers})
    assert 1 == await _notes(kit, tenant)
    assert [answers[0].content] == [row["body"] for row in await _kept(kit, tenant)]
    for _ in range(2):
        assert 201 == (await client.post("/v1/secret-notes", **send)).status_code
    assert 1 == len(await _kept(kit, tenant))
    async with kit.unit_of_work(tenant) as uow:
        await uow.erase_persons(answers[0].json()["id"])
    assert 410 == (await client.post("/v1/notes", **send)).status_code


async def test_answers_about_somebody_who_was_erased(
    kit: TestKit, tenant: Tenant, client: Any
) -> None:
    """Whoever is named in a kept answer can be erased from it; other answers stay."""
    first, second = [
        await client.post("/v1/notes", json={"body": "a"}, headers={"Idempotency-Key": key})
        for key in ("1", "2")
    ]
    async with kit.unit_of_work(tenant) as uow:
        await uow.erase_persons(first.json()["id"])
    for key, expected in (("1", (410, "person-erased")), ("2", (201, None))):
        again = await client.post("/v1/notes", json={"body": "a"}, headers={"Idempotency-Key": key})
        assert expected == (again.status_code, again.json().get("code"))
    assert second.json() == again.json()


async def test_two_guests_with_one_key(kit: TestKit, tenant: Tenant, http: Any) -> None:
    """Guests are one caller: whoever takes another's key for another request learns nothing."""
    one, other = await http(tenant), await http(tenant)
    key = {"Idempotency-Key": "1"}
    line = {"kind": "plain", "on": "2026-01-01"}
    first = await one.post("/v1/forms", json={"lines": [line], "tags": {"a": 1}}, headers=key)
    assert 200 == first.status_code
    second = await other.post("/v1/forms", json={"lines": [line], "tags": {"a": 2}}, headers=key)
    assert (422, "idempotency-key-reused") == (second.status_code, second.json()["code"])
    assert "tags" not in second.text


async def test_who_is_not_let_in_keeps_no_key(
    kit: TestKit, tenant: Tenant, client: Any, scripts: dict[str, Any]
) -> None:
    """A 401 after the first unit of work leaves the key usable at once."""

    async def refuse(*_: Any) -> None:
        raise Unauthorised("Who is that?")

    scripts["dictating"] = refuse
    request = {"json": {"body": "a"}, "headers": {"Idempotency-Key": "k"}}
    assert 401 == (await client.post("/v1/dictations", **request)).status_code
    scripts.clear()
    assert 201 == (await client.post("/v1/dictations", **request)).status_code


async def test_every_post_takes_a_key(every_plugin: Registry, installation: Any) -> None:
    """The OpenAPI document of all that is installed declares it for each POST."""
    everything = Installation(installation.config, every_plugin, installation.cells)
    document = build(everything).openapi_schema.to_schema()
    posts = {path: one["post"] for path, one in document["paths"].items() if "post" in one}
    assert {"/v1/sessions", "/v1/orders"} < posts.keys()
    without = [
        path
        for path, operation in posts.items()
        if "Idempotency-Key" not in [one["name"] for one in operation.get("parameters", [])]
    ]
    assert [] == without
