"""Keys changed for new ones: under load, killed half-way, and with the old master keys gone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pss_guarded import Settings, store
from pss_kernel import Secret
from pss_kernel.errors import Conflict, Problem
from pss_kernel.keys._inspect import key_problems
from pss_kernel.keys._key_file import add_key, make_key_file, new_key_text
from pss_kernel.persistence import Answered, Idempotency
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._rotation import rewrap_tenant, rotate_tenants
from pss_kernel.tenancy._settings import change_settings, put, setting_history
from pss_kernel.testing import TestKit

pytestmark = pytest.mark.xdist_group("rotation")


def quiet(_what: str, _done: int, _total: int) -> None:
    """No progress."""


async def rotate(kit: TestKit, *codes: str) -> list[Any]:
    """Rotate, as the command does."""
    return await rotate_tenants(kit.installation, codes, quiet)


async def populated(kit: TestKit, clear: str, people: int = 12) -> tuple[Tenant, dict[str, str]]:
    """A tenant with a secret and people."""
    tenant = await kit.make_tenant(settings={"guarded": {"token": clear, "spare": [clear]}})
    async with kit.unit_of_work(tenant) as uow:
        ids = await store.write_visitors(uow, {f"v{n}": {"n": n} for n in range(people)})
    return kit.installation.directory.by_code(tenant.code), ids


async def keys(kit: TestKit, tenant: Tenant) -> list[tuple[int, str]]:
    """Number and state of each data key."""
    async with kit.installation.cell(tenant).owner() as owner:
        rows = await owner.fetch(
            "SELECT number, state FROM pss.tenant_key WHERE tenant = $1 ORDER BY 1", tenant.code
        )
    return [tuple(row) for row in rows]


async def readable(kit: TestKit, code: str, ids: dict[str, str], clear: str) -> bool:
    """Whether everything that was sealed opens."""
    await kit.installation.directory.refresh()
    tenant = kit.installation.directory.by_code(code)
    settings = kit.installation.settings_of(tenant, Settings)
    async with kit.unit_of_work(tenant) as uow:
        found = await store.read_visitors(uow, list(ids.values()))
    expected = {ids[name]: {"n": int(name[1:])} for name in ids}
    assert settings.token
    return [clear, clear, expected] == [
        settings.token.reveal(),
        settings.spare[0].reveal(),
        found,
    ]


async def test_rotated(both: TestKit, clear: str) -> None:
    """Everything is sealed with a new key, the old one is gone, and the history has no line."""
    tenant, ids = await populated(both, clear)
    before = await setting_history(both.installation, tenant)
    (done,) = await rotate(both, tenant.code)
    assert (2, False, 1, 12) == (done.number, done.resumed, done.settings, done.people)
    assert [(2, "current")] == await keys(both, tenant)
    assert await readable(both, tenant.code, ids, clear)
    assert before == await setting_history(both.installation, tenant)
    (done,) = await rotate(both, tenant.code)
    assert 3 == done.number
    assert await readable(both, tenant.code, ids, clear)


async def test_answers_kept_for_repeated_requests(
    both: TestKit, beside: Callable[..., Any], clear: str
) -> None:
    """They are sealed anew as well: a request that comes again does not act again."""
    tenant, _ = await populated(both, clear)
    claims = [Idempotency("guest POST /x", f"k{n:04}", b"d" * 32) for n in range(600)]
    async with both.unit_of_work(tenant) as uow:
        for one in claims:
            await one.claim(uow)
            if one.key != "k0300":  # still at work
                await one.answer(uow, 201, one.key.encode())
    other = await beside(both)
    await rotate(both, tenant.code)
    assert [(2, "current")] == await keys(both, tenant)
    for kit in (both, other):  # one of them has not heard of it
        async with kit.unit_of_work(kit.installation.directory.by_code(tenant.code)) as uow:
            for one in (claims[0], claims[299], claims[599]):
                with pytest.raises(Answered) as answered:
                    await one.claim(uow)
                assert one.key.encode() == answered.value.body
            with pytest.raises(Conflict):
                await claims[300].claim(uow)


async def test_nothing_to_rotate(one: TestKit) -> None:
    """A tenant without a key has nothing to rotate."""
    tenant = await one.make_tenant(plugins=["guarded"])
    assert [] == await rotate(one, tenant.code)


async def test_seals_what_stood_in_clear(
    one: TestKit, clear: str, everything: Callable[..., Any]
) -> None:
    """A setting that has become a secret is sealed by a rotation, and masked in the history."""
    tenant, ids = await populated(one, clear)
    async with one.installation.cell(tenant).owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET settings = settings || jsonb_build_object('token', "
            "$2::text) WHERE tenant = $1 AND plugin = 'guarded'",
            tenant.code,
            clear,
        )
    assert await readable(one, tenant.code, ids, clear)
    assert clear in await everything(one, tenant.code)
    await rotate(one, tenant.code)
    assert await readable(one, tenant.code, ids, clear)
    assert clear not in await everything(one, tenant.code)


async def test_under_load(
    both: TestKit, beside: Callable[..., Any], clear: str, eventually: Callable[..., Any]
) -> None:
    """Reads and writes in two processes go on while keys are rotated; nothing fails or is lost."""
    tenant, ids = await populated(both, clear, people=40)
    other = await beside(both)
    other.installation.directory.start()
    over = asyncio.Event()
    written: dict[str, str] = {}
    rounds = 0

    async def work(kit: TestKit, name: int) -> None:
        nonlocal rounds
        number = name
        held = kit.installation.directory.by_code(tenant.code)  # as long work holds it
        while not over.is_set():
            now = held if number % 2 else kit.installation.directory.by_code(tenant.code)
            async with kit.unit_of_work(now) as uow:
                made = await store.write_visitors(uow, {f"v{number}": {"n": number}})
            async with kit.unit_of_work(now) as uow:
                found = await store.read_visitors(uow, [*ids.values(), *made.values()])
            assert len(ids) + 1 == len(found)
            assert {"n": number} == found[made[f"v{number}"]]
            latest = kit.installation.directory.by_code(tenant.code)
            token = kit.installation.settings_of(latest, Settings).token
            assert token
            assert clear == token.reveal()
            written.update(made)
            number += 4
            rounds += 1

    workers = [asyncio.create_task(work(kit, 100 + n)) for n, kit in enumerate((both, other) * 2)]
    try:
        for _ in range(2):
            await rotate(both, tenant.code)
            await change_settings(
                both.installation, tenant.code, "guarded", lambda s: put(s, ["limit"], 6)
            )
        so_far = rounds
        await eventually(lambda: rounds >= so_far + 8 or any(one.done() for one in workers))
    finally:
        over.set()
        await asyncio.gather(*workers)
        await other.installation.directory.stop()
    assert [(3, "current")] == await keys(both, tenant)
    assert rounds > 8
    assert await readable(both, tenant.code, ids | written, clear)


@pytest.mark.parametrize("lines", [0, 1, 2, 4, 6, 8])
async def test_killed(one: TestKit, clear: str, lines: int) -> None:
    """Killed at any moment, all is readable, and the same command finishes what was begun."""
    tenant, ids = await populated(one, clear, people=30)
    before = await keys(one, tenant)
    folder = one.installation.config.data_dir
    script = Path(__file__).with_name("rotating.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(folder), tenant.code, stdout=subprocess.PIPE
    )
    assert process.stdout
    for _ in range(lines + 1):
        assert await process.stdout.readline()
    process.kill()
    await process.wait()
    assert await readable(one, tenant.code, ids, clear)
    (done,) = await rotate(one, tenant.code)
    left = await keys(one, tenant)
    assert [(done.number, "current")] == left
    assert done.number in ({before[0][0] + 1} if done.resumed else {2, 3})
    assert await readable(one, tenant.code, ids, clear)


async def test_no_master_key(both: TestKit, beside: Callable[..., Any], clear: str) -> None:
    """Without a master key only what needs a secret fails, and a sentence names the mend."""
    tenant, _ = await populated(both, clear)
    absent = {"master_key_file": Path("/nowhere/master.key"), "master_key": None}
    without = await beside(both, **absent)
    async with without.http(tenant) as http:
        assert {"limit": 5} == (await http.get("/v1/guarded/limit")).json()
        answer = await http.get("/v1/guarded/length")
    assert (503, "no-master-key") == (answer.status_code, answer.json()["code"])
    assert "PSS_MASTER_KEY" in answer.text
    found = [one async for one in key_problems(without.installation)]
    assert tenant.code in found[0][0]
    assert "Set PSS_MASTER_KEY_FILE" in found[0][1].sentence
    with pytest.raises(Problem) as refused:
        await change_settings(
            without.installation, tenant.code, "guarded", lambda s: put(s, ["token"], "new")
        )
    assert "no-master-key" == refused.value.code
    await change_settings(
        without.installation, tenant.code, "guarded", lambda s: put(s, ["limit"], 6)
    )


async def test_the_wrong_master_key(both: TestKit, beside: Callable[..., Any], clear: str) -> None:
    """Another master key opens nothing, and the sentence names the one that is missing."""
    tenant, ids = await populated(both, clear)
    other = await beside(both, master_key=Secret(new_key_text()), master_key_file=Path("/nowhere"))
    token = other.installation.settings_of(
        other.installation.directory.by_code(tenant.code), Settings
    ).token
    assert token
    with pytest.raises(Problem) as refused:
        token.reveal()
    assert "master-key-unknown" == refused.value.code
    assert tenant.keys[0].master in refused.value.sentence
    with pytest.raises(Problem):
        async with other.unit_of_work(tenant) as uow:
            await store.read_visitors(uow, list(ids.values()))


async def test_a_new_master_key(
    one: TestKit, beside: Callable[..., Any], clear: str, tmp_path: Path
) -> None:
    """Keys are rewrapped while old and new master keys are known, and then the old one can go."""
    path = tmp_path / "master.key"
    make_key_file(path)
    first = await beside(one, master_key_file=path)
    tenant, ids = await populated(first, clear)
    old = path.read_text().splitlines()[-1]
    add_key(path)
    new = path.read_text().splitlines()[2]
    assert old != new
    second = await beside(one, master_key_file=path)
    assert second.installation.keyring.masters.current != tenant.keys[0].master
    assert await readable(second, tenant.code, ids, clear)
    assert 1 == await rewrap_tenant(second.installation, tenant.code)
    assert 0 == await rewrap_tenant(second.installation, tenant.code)
    assert await readable(first, tenant.code, ids, clear)  # it reads the file again
    path.write_text(f"{new}\n")
    third = await beside(one, master_key_file=path)
    assert await readable(third, tenant.code, ids, clear)
    only_old = await beside(one, master_key=Secret(old), master_key_file=Path("/nowhere"))
    with pytest.raises(Problem) as refused:
        await readable(only_old, tenant.code, ids, clear)
    assert "master-key-unknown" == refused.value.code


@pytest.mark.parametrize("text", ["short", "!" * 44, "QUJD"])
async def test_not_a_master_key(one: TestKit, beside: Callable[..., Any], text: str) -> None:
    """A key that is none is refused with its place, and not shown."""
    other = await beside(one, master_key=Secret(f"{new_key_text()}, {text}"))
    with pytest.raises(Problem) as refused:
        assert other.installation.keyring.masters.ids
    assert "Key number 2 in PSS_MASTER_KEY is not 32 bytes in base64." in refused.value.sentence
    assert text not in refused.value.sentence


def test_made_once(tmp_path: Path) -> None:
    """A key file that is there is never written over."""
    path = tmp_path / "master.key"
    make_key_file(path)
    before = path.read_text()
    make_key_file(path)
    assert before == path.read_text()
    assert [path] == list(tmp_path.iterdir())


async def test_nothing_to_report(one: TestKit, clear: str) -> None:
    """Where keys open there is nothing to report."""
    tenant, _ = await populated(one, clear, people=1)
    reports = [codes async for codes, _ in key_problems(one.installation)]
    assert tenant.code not in {code for codes in reports for code in codes}
