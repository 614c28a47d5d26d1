"""``pss cell`` and ``pss tenant move``, as people type them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from pss_kernel.config import CellConfig, Config
from pss_kernel.installation import open_installation
from pss_kernel.registry import Registry
from pss_kernel.testing import TestKit

pytestmark = pytest.mark.xdist_group("cells")
Said = tuple[int, str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kit(folder: Path, registry: Registry) -> AsyncIterator[TestKit]:
    """An installation of two embedded clusters, which the commands find running."""
    east = CellConfig(name="east", database_url="embedded")
    config = Config(data_dir=folder / "commanded", cells=(east,), pool_size=4)
    async with open_installation(config, registry) as opened:
        yield TestKit(opened)


@pytest.fixture
def pss(
    commanding: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    registry: Registry,
    kit: TestKit,
) -> Callable[..., Any]:
    """Run a command, in a thread: it brings an event loop of its own."""
    run = commanding(registry, kit.installation.config.data_dir)
    monkeypatch.setenv("PSS_CELLS", "east")
    monkeypatch.setenv("PSS_CELL_EAST_DATABASE_URL", "embedded")

    async def in_a_thread(*arguments: str) -> Said:
        return await asyncio.to_thread(run, *arguments)

    return in_a_thread


async def test_moved_by_command(kit: TestKit, pss: Callable[..., Any]) -> None:
    """The command moves, says what it did to people and machines, and is content when repeated."""
    await kit.make_tenant(code="commuter", plugins=["notes"])
    code, out, err = await pss("tenant", "move", "commuter", "--to", "east")
    assert (0, "") == (code, err)
    assert re.search(r"commuter lives in east now: \d+ rows and 0 events", out)
    assert "It could not be changed for" in out
    code, out, _ = await pss("tenant", "move", "commuter", "--to", "east")
    assert (0, "Nothing to do: commuter lives in east.\n") == (code, out)
    code, out, _ = await pss(
        "tenant", "move", "commuter", "--to", "default", "--keep-source", "--json"
    )
    moved = msgspec.json.decode(out)["moved"]
    assert (0, "east", "default", True) == (
        code,
        moved["source"],
        moved["target"],
        moved["kept_source"],
    )
    assert {"event", "inbox", "idempotency", "note", "counter", "trace"} <= {
        one["name"] for one in moved["tables"]
    }
    assert 0 < moved["pause_seconds"] < moved["seconds"]


async def test_cells_by_command(kit: TestKit, pss: Callable[..., Any]) -> None:
    """Which cells there are, how they are, and who is on the way between them."""
    await kit.make_tenant(code="shown", plugins=["notes"])
    code, out, _ = await pss("cell", "list", "--json")
    cells = {one["name"]: one for one in msgspec.json.decode(out)["data"]}
    assert (0, {"default", "east"}) == (code, cells.keys())
    assert cells["default"]["tenants"] >= 1
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "INSERT INTO pss.tenant_move (code, source, target) VALUES ('shown', 'default', 'east')"
        )
    code, out, _ = await pss("cell", "status")
    assert 0 == code
    assert "shown is on its way from default to east (preparing)" in out
    code, out, _ = await pss("cell", "status", "--json")
    status = msgspec.json.decode(out)
    assert (0, [True, True]) == (code, [one["reachable"] for one in status["data"]])
    assert [("shown", "preparing")] == [(one["tenant"], one["step"]) for one in status["moves"]]
    _, out, _ = await pss("doctor", "--json")
    checks = {one["name"]: one for one in msgspec.json.decode(out)["checks"]}
    assert ("ok", "warning") == (checks["cell"]["state"], checks["move"]["state"])
    code, out, _ = await pss("tenant", "move", "shown", "--abort")
    assert (0, "shown goes on in default.\n") == (code, out)
    _, out, _ = await pss("tenant", "move", "shown", "--abort", "--json")
    assert "" == out  # there is none any more


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shown"], "Give the cell with --to, or --abort."),
        (["shown", "--to", "east", "--abort"], "Give the cell with --to, or --abort."),
        (["shown", "--to", "west"], "There is no cell 'west' here."),
        (["nobody", "--to", "east"], "There is no tenant 'nobody'."),
        (["nobody", "--abort"], "No move of 'nobody' has begun."),
    ],
)
async def test_mistakes_in_a_move(pss: Callable[..., Any], arguments: list[str], said: str) -> None:
    """A mistake is a sentence and exit code 2."""
    code, out, err = await pss("tenant", "move", *arguments)
    assert (2, "") == (code, out)
    assert said in err
