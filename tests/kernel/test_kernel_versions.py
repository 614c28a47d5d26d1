"""A plugin at two versions: each one's code works on its own tables and on the other's."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_kernel.testing import TestKit
from pss_outside.processes import free_port, process, until
from pss_outside.versions import switch_off

pytestmark = [pytest.mark.xdist_group("versions"), pytest.mark.timeout(240)]

_HERE = Path(__file__).parent
VERSIONS = ("v1", "v2")


def _environment(version: str, data_dir: Path) -> dict[str, str]:
    """Of a process that has this version of the plugin."""
    return {
        "PYTHONPATH": str(_HERE / f"installed_{version}"),
        "PSS_DATA_DIR": str(data_dir),
        "PSS_MIGRATE_ON_START": "false",
    }


def _pss(version: str, data_dir: Path, *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "pss_kernel.cli", *arguments],
        env={**os.environ, **_environment(version, data_dir)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 0 == finished.returncode, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def servers(installation: Any, folder: Path) -> Iterator[dict[str, str]]:
    """A server of each version, on one database; their addresses."""
    data_dir = installation.config.data_dir
    with ExitStack() as stack:
        addresses = {}
        for version in VERSIONS:
            port = free_port()
            stack.enter_context(
                process(
                    folder / f"server-{version}.log",
                    *("pss_kernel.cli", "serve", "--no-worker", "--port", str(port)),
                    environment=_environment(version, data_dir),
                )
            )
            addresses[version] = f"http://127.0.0.1:{port}"
        yield addresses


async def _answers(address: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"{address}/ready", timeout=5)).is_success
        except httpx.TransportError:
            return False


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clients(
    servers: dict[str, str], installation: Any
) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client of each version's server."""
    async with AsyncExitStack() as stack:
        made = {}
        for version, address in servers.items():
            await until(lambda address=address: _answers(address), seconds=90)
            made[version] = await stack.enter_async_context(httpx.AsyncClient(base_url=address))
        yield made
    await switch_off(installation, "labels")


async def _tenant(kit: TestKit) -> str:
    """A tenant with the tables of version 1."""
    tenant = await kit.make_tenant()
    data_dir = kit.installation.config.data_dir
    await asyncio.to_thread(
        _pss, "v1", data_dir, "plugin", "enable", "labels", "--tenant", tenant.code
    )
    return tenant.code


async def _seen_by(clients: dict[str, httpx.AsyncClient], code: str, kit: TestKit) -> None:
    """Wait until both servers know what tables the tenant has."""
    await asyncio.sleep(0)
    for client in clients.values():

        async def knows(client: httpx.AsyncClient = client) -> bool:
            shown = await client.get("/v1/tenant", headers={"PSS-Tenant": code})
            return shown.is_success and "labels" in shown.json()["plugins"]

        await until(knows)


async def _write_and_read(writer: httpx.AsyncClient, reader: httpx.AsyncClient, code: str) -> None:
    headers = {"PSS-Tenant": code}
    made = await writer.post("/v1/labels", json={"text": "first"}, headers=headers)
    assert 201 == made.status_code, made.text
    label = made.json()["id"]

    async def text_of() -> str:
        listed = await reader.get("/v1/labels", headers=headers)
        assert 200 == listed.status_code, listed.text
        return str({one["id"]: one["text"] for one in listed.json()["data"]}[label])

    assert "first" == await text_of()
    for changer, text in ((reader, "second"), (writer, "third")):
        answer = await changer.put(f"/v1/labels/{label}", json={"text": text}, headers=headers)
        assert 200 == answer.status_code, answer.text
        assert text == await text_of()


async def test_each_version_on_each_schema(
    kit: TestKit, clients: dict[str, httpx.AsyncClient]
) -> None:
    """Old and new code write and read the old tables and the new ones, and see each other's."""
    before, after = await _tenant(kit), await _tenant(kit)
    data_dir = kit.installation.config.data_dir
    shown = await asyncio.to_thread(_pss, "v2", data_dir, "migrate", "plan", "--tenant", before)
    assert f"labels 2.0.0: 0001 to 0003, 1 tenant: {before}" in shown
    await asyncio.to_thread(
        _pss, "v2", data_dir, "migrate", "run", "--tenant", after, "--watch", "0"
    )
    for code in (before, after):
        await _seen_by(clients, code, kit)
        for writer, reader in itertools.product(VERSIONS, VERSIONS):
            await _write_and_read(clients[writer], clients[reader], code)
    await kit.installation.directory.refresh()
    revisions = [
        kit.installation.directory.by_code(code).plugins["labels"].revision
        for code in (before, after)
    ]
    assert ["0001", "0003"] == revisions


async def test_both_serve_while_it_is_migrated(
    kit: TestKit, clients: dict[str, httpx.AsyncClient]
) -> None:
    """A tenant's requests at both versions go on while its tables change: none fails."""
    code = await _tenant(kit)
    await _seen_by(clients, code, kit)
    headers = {"PSS-Tenant": code}
    ended = asyncio.Event()
    answers: list[int] = []

    async def write(client: httpx.AsyncClient) -> None:
        while not ended.is_set():
            made = await client.post("/v1/labels", json={"text": "x"}, headers=headers)
            answers.append(made.status_code)
            label = made.json()["id"]
            path = f"/v1/labels/{label}"
            changed = await client.put(path, json={"text": label}, headers=headers)
            answers.append(changed.status_code)

    writing = [asyncio.create_task(write(client)) for client in clients.values()]
    await until(lambda: len(answers) > 20)
    data_dir = kit.installation.config.data_dir
    await asyncio.to_thread(
        _pss, "v2", data_dir, "migrate", "run", "--tenant", code, "--watch", "2"
    )
    ended.set()
    await asyncio.gather(*writing)
    assert {200, 201} == set(answers)
    for client in clients.values():
        listed = (await client.get("/v1/labels", headers=headers)).json()["data"]
        assert len(answers) // 2 == len(listed)
        assert [] == [one for one in listed if one["text"] != one["id"]]
