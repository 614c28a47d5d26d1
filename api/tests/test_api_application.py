"""The application as a whole, with every installed plugin: its document, its probes, its edges."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(installation: Installation) -> AsyncIterator[httpx.AsyncClient]:
    """A client that names no tenant."""
    transport = httpx.ASGITransport(create_app(installation))
    async with httpx.AsyncClient(transport=transport, base_url="http://test.invalid") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    """The OpenAPI document."""
    answer = await client.get("/docs/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def _operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)
    }


async def test_probes(client: httpx.AsyncClient) -> None:
    """Liveness and readiness answer without a tenant."""
    for path in ("/health", "/ready"):
        answer = await client.get(path)
        assert (200, "ok") == (answer.status_code, answer.json()["status"])


async def test_every_route_is_described(
    installation: Installation, document: dict[str, Any]
) -> None:
    """Each route of each plugin is in the document, with who may call it and what it refuses."""
    operations = _operations(document)
    for plugin in installation.registry.plugins.values():
        for route in plugin.routes:
            path = "/v1" + "/".join(
                "{" + part[1:].partition(":")[0] + "}" if part.startswith("{") else part
                for part in route.path.split("/")
            )
            operation = operations[route.method, path]
            assert [plugin.name] == operation["tags"]
            assert route.permission in operation["description"]
            assert operation["summary"]
            assert str(route.status) in operation["responses"]
            assert {"400", "404", "422", "503"} <= set(operation["responses"])


async def test_the_documents_references_lead_somewhere(document: dict[str, Any]) -> None:
    """Every ``$ref`` names a schema that is there, and operation ids are unique."""
    schemas = document["components"]["schemas"]
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str):
                assert reference.removeprefix("#/components/schemas/") in schemas
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    ids = [one["operationId"] for one in _operations(document).values()]
    assert len(ids) == len(set(ids))


async def test_nothing_of_the_kernel_is_asked_of_callers(document: dict[str, Any]) -> None:
    """What the kernel fills in (unit of work, request) is no parameter of an operation."""
    for operation in _operations(document).values():
        names = {one["name"] for one in operation.get("parameters", [])}
        assert not names & {"uow", "work", "request", "kwargs", "arguments", "data"}


async def test_the_page(client: httpx.AsyncClient) -> None:
    """The page for people is HTML and takes its parts from here."""
    answer = await client.get("/docs")
    assert "text/html" == answer.headers["content-type"].partition(";")[0]
    assert "cdn." not in answer.text


async def test_every_route_refuses_a_stranger(
    client: httpx.AsyncClient, installation: Installation
) -> None:
    """Without a tenant 404; as a guest 401 unless guests may; with another plugin's key 403."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(plugins=list(installation.registry.plugins))
    key = await kit.api_key(tenant, ["nothing:at-all"])
    named = {"PSS-Tenant": tenant.code}
    for plugin in installation.registry.plugins.values():
        for route in plugin.routes:
            path = "/v1" + "/".join(
                "1" if part.startswith("{") else part for part in route.path.split("/")
            )
            place = f"{route.method} {path}"
            answer = await client.request(route.method, path)
            assert 404 == answer.status_code, place
            guest = installation.registry.permissions[route.permission].guest
            answer = await client.request(route.method, path, headers=named)
            assert guest or answer.status_code == 401, place
            assert answer.status_code < 500, place
            keyed = named | {"Authorization": f"Bearer {key}"}
            answer = await client.request(route.method, path, headers=keyed)
            assert guest or answer.status_code == 403, place
            assert answer.status_code < 500, place


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b'{"a": ' * 400, b"\x00", b'"\xff"'])
async def test_no_route_falls_over_a_body(
    client: httpx.AsyncClient, installation: Installation, raw: bytes
) -> None:
    """Whatever body a POST, PUT or PATCH gets, the answer is below 500."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(plugins=list(installation.registry.plugins))
    headers = {
        "PSS-Tenant": tenant.code,
        "Authorization": f"Bearer {await kit.api_key(tenant, ['*'])}",
        "Content-Type": "application/json",
    }
    for plugin in installation.registry.plugins.values():
        for route in plugin.routes:
            if route.method in {"POST", "PUT", "PATCH"}:
                path = "/v1" + "/".join(
                    "1" if part.startswith("{") else part for part in route.path.split("/")
                )
                answer = await client.request(route.method, path, content=raw, headers=headers)
                assert answer.status_code < 500, f"{route.method} {path}: {answer.text}"
