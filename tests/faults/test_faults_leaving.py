"""Exporting, importing and deleting, killed at any moment: the same command again finishes it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "installed"))

from pss_kernel.config import Config
from pss_kernel.errors import TenantUnknown
from pss_kernel.installation import Installation, open_installation
from pss_kernel.leaving._export import export_tenant
from pss_kernel.leaving._import import import_tenant
from pss_kernel.leaving._remains import remains_of
from pss_kernel.leaving._verify import faults_of, read_manifest
from pss_kernel.registry import Registry, _load
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._provision import create_tenant
from pss_outside.killing import KILLS, Program, moments

pytestmark = [pytest.mark.xdist_group("leaving"), pytest.mark.timeout(400)]

_DELETIONS = 20
_SEED = 20261125
_CODE = "leaver"
_NOTES = 2000  # enough for several pieces of a file
_FILL = """
INSERT INTO t_leaver.note (note_id, body)
SELECT 'note_' || n, repeat('text of ' || n || ' ', 20) FROM generate_series(1, $1) n
"""
_WAITING = """
INSERT INTO pss.outbox (queue, payload)
VALUES ('events', convert_to(jsonb_build_object('tenant', 'leaver')::text, 'UTF8'))
"""
_DUE = """
UPDATE pss.placement SET state = 'deleting', due_at = now() WHERE tenant = $1
"""


@dataclass
class Place:
    """An installation whose server the tests hold, with one tenant and its export."""

    installation: Installation
    folder: Path
    export: Path

    def program(self, *arguments: str) -> Program:
        """The command, in processes of its own."""
        data_dir = str(self.installation.config.data_dir)
        return Program(Path(__file__).with_name("applying.py"), *arguments, "--data-dir", data_dir)

    async def killed(
        self, program: Program, look: Callable[[], Awaitable[None]], *, seed: int, kills: int
    ) -> None:
        """Kill it at so many moments, looking after each, and let it end at last."""
        whole = await asyncio.to_thread(program.run)
        assert 0 == whole.code, whole.lines
        await look()
        killed = 0
        for moment in moments(seed, len(whole.lines), kills):
            ended = await asyncio.to_thread(program.run, moment)
            assert ended.killed or 0 == ended.code, ended.lines
            killed += ended.killed
            await look()
        assert kills // 2 < killed  # the others had less to do, and ended before
        last = await asyncio.to_thread(program.run)
        assert 0 == last.code, last.lines


def _rows(export: Path) -> dict[str, str]:
    """The digest of each table of an export that is whole; the trail has an entry of each run."""
    manifest = read_manifest(export)
    assert [] == faults_of(export, manifest)
    return {one.name: one.sha256 for one in manifest.tables if one.name != "audit_entry"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place() -> AsyncIterator[Place]:
    """The tenant, with rows in several tables and an event that waits."""
    points = [EntryPoint(one, f"pss_{one}:plugin", "pss.plugins") for one in ("notes", "echo")]
    with tempfile.TemporaryDirectory(prefix="pss-leaving-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        config = Config(data_dir=Path(name) / "var", log_level="critical", pool_size=4)
        async with open_installation(config, Registry(map(_load, points))) as opened:
            await create_tenant(opened, _CODE, name="Leaver", currency="EUR", time_zone="UTC")
            await enable_plugins(opened, _CODE, {"notes": {"most": 7}, "echo": None})
            async with opened.database.owner() as owner:
                await owner.execute(_FILL, _NOTES)
                await owner.execute(_WAITING)
            export = Path(name) / "reference"
            await export_tenant(opened, _CODE, export)
            yield Place(opened, Path(name), export)


async def test_killed_exports(place: Place) -> None:
    """There is never half an export under the name; the last run gives what all others give."""
    target = place.folder / "out"

    async def look() -> None:
        if target.exists():  # it was given its name before the kill came
            assert _rows(place.export) == _rows(target)
            shutil.rmtree(target)

    await place.killed(
        place.program("tenant", "export", _CODE, str(target)), look, seed=_SEED, kills=KILLS
    )
    assert _rows(place.export) == _rows(target)
    assert [] == list(place.folder.glob(".*"))  # nothing of the killed ones is left


async def test_killed_imports(place: Place) -> None:
    """Nobody is served by half; the last run gives the same rows, once."""
    code = "arrived"

    async def whole() -> None:
        out = place.folder / "check"
        await export_tenant(place.installation, code, out)
        assert _rows(place.export) == _rows(out)
        waiting = (out / "control/outbox.jsonl").read_text().splitlines()
        assert [code] == [json.loads(json.loads(line)["payload"])["tenant"] for line in waiting]
        shutil.rmtree(out)

    async def look() -> None:
        await place.installation.directory.refresh()
        try:
            place.installation.directory.by_code(code)
        except TenantUnknown:
            return
        await whole()  # it was served before the kill came: then all of it is there
        await _drop(place, code)

    command = ("tenant", "import", str(place.export), "--as", code)
    await place.killed(place.program(*command), look, seed=_SEED + 1, kills=KILLS)
    await place.installation.directory.refresh()
    await whole()
    await _drop(place, code)


async def test_killed_deletions(place: Place) -> None:
    """What was begun to be dropped is finished by the same command; its export is whole."""
    code = "deleted"
    manifest = read_manifest(place.export)
    exports = place.installation.config.data_dir / "exports"

    async def look() -> None:
        found = await remains_of(place.installation, code)
        left = {one.place: one.count for one in found if one.count}
        if left:  # to be gone on with
            return
        for export in exports.glob(f"{code}-*"):
            assert _rows(place.export) == _rows(export)
            shutil.rmtree(export)
        await begin()

    async def begin() -> None:
        await import_tenant(place.installation, place.export, manifest, code=code)
        async with place.installation.database.owner() as owner:
            await owner.execute(_DUE, code)

    await begin()
    program = place.program("tenant", "delete", "--due", "--yes")
    await place.killed(program, look, seed=_SEED + 2, kills=_DELETIONS)
    assert set() == {one.place for one in await remains_of(place.installation, code) if one.count}


async def _drop(place: Place, code: str) -> None:
    program = place.program("tenant", "delete", code, "--now", "--no-export", "--yes")
    ended = await asyncio.to_thread(program.run)
    assert 0 == ended.code, ended.lines
