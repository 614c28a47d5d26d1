"""The commands about tenants and plugins that leave, as somebody types them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pss_kernel.cli._leaving import duration
from pss_kernel.errors import Invalid
from pss_kernel.identity.models import metadata as identity
from pss_kernel.testing import TestKit
from pss_notes import store

Said = tuple[int, str, str]
Pss = Callable[..., Said]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def _tenant(kit: TestKit) -> str:
    tenant = await kit.make_tenant(plugins=["notes", "echo"])
    async with kit.unit_of_work(tenant) as uow:
        await store.write_note(uow, "here")
    return tenant.code


async def test_there_and_back(kit: TestKit, pss: Pss, tmp_path: Path) -> None:
    """Export, verify, delete, look for what remains, import: each says what it did."""
    code = await _tenant(kit)
    target = str(tmp_path / "out.zip")

    async def said(*arguments: str, typed: str = "") -> Said:
        return await asyncio.to_thread(pss, *arguments, typed=typed)

    done, out, _ = await said("tenant", "export", code, target)
    assert (0, True) == (done, f"{code} is in {target}: {7 + len(identity.tables)} tables, " in out)
    assert "personal data" in out
    done, out, _ = await said("tenant", "verify", target)
    assert (0, True) == (done, f"The export of {code}" in out and "is whole" in out)
    done, out, _ = await said("tenant", "remains", code)
    assert (1, True) == (done, "things of" in out)
    done, out, err = await said("tenant", "delete", code, "--now", typed="other\n")
    assert (2, "") == (done, out.strip())
    assert f"'other' is not {code!r}; nothing was changed." in err
    done, out, err = await said("tenant", "import", target)
    assert (2, True) == (done, "There is a tenant" in err)
    done, out, _ = await said("tenant", "delete", code, "--now", "--no-export", typed=f"{code}\n")
    assert (0, f"{code} is dropped.") == (done, out.strip())
    done, out, _ = await said("tenant", "remains", code, "--json")
    found = json.loads(out)
    assert (0, 0) == (done, found["total"])
    assert {0} == {one["count"] for one in found["places"]}
    assert "default" in {one["cell"] for one in found["places"]}
    done, out, _ = await said("tenant", "import", target, "--json")
    assert (0, code) == (done, json.loads(out)["tenant"])
    await kit.installation.directory.refresh()
    assert 1 == await kit.deliver(kit.installation.directory.by_code(code))


async def test_a_waiting_time(kit: TestKit, pss: Pss) -> None:
    """Deleted with a waiting time, seen in 'show', taken back; due, it is dropped with a timer."""
    code = await _tenant(kit)

    async def said(*arguments: str, typed: str = "") -> Said:
        return await asyncio.to_thread(pss, *arguments, typed=typed)

    done, _, err = await said("tenant", "delete", code, typed="n\n")
    assert (1, True) == (done, f"Serve {code!r} no more" in err)
    done, out, _ = await said("tenant", "delete", code, "--after", "2d", typed="y\n")
    assert (0, True) == (done, f"{code} is served no more. " in out)
    assert f"pss tenant restore {code}" in out
    done, out, _ = await said("tenant", "show", code, "--json")
    assert "deleting" == json.loads(out)["placement"]
    assert "due_at" in json.loads(out)
    done, out, _ = await said("tenant", "delete", "--due", "--yes")
    assert (0, False) == (done, code in out)  # those of other tests may be due
    done, out, _ = await said("tenant", "restore", code)
    assert (0, f"{code} is served again.\n") == (done, out)
    done, out, _ = await said("tenant", "delete", code, "--after", "0s", "--yes", "--json")
    assert (0, False) == (done, json.loads(out)["dropped"])
    done, out, _ = await said("tenant", "delete", "--due", "--yes", "--json")
    place = json.loads(out)["dropped"][code]
    done, out, _ = await said("tenant", "remains", code)
    assert (0, True) == (done, f"Exports kept on purpose: {place}" in out)
    assert f"Nothing of {code} remains." in out


async def test_damage(kit: TestKit, pss: Pss, tmp_path: Path) -> None:
    """An export that is not whole makes 'verify' end with 1, and is not imported."""
    code = await _tenant(kit)
    target = tmp_path / "out"
    await asyncio.to_thread(pss, "tenant", "export", code, str(target))
    (target / "tables/note.jsonl").unlink()
    done, out, _ = await asyncio.to_thread(pss, "tenant", "verify", str(target), "--json")
    assert (1, False) == (done, json.loads(out)["whole"])
    assert "tables/note.jsonl is missing." in json.loads(out)["faults"]
    done, _, err = await asyncio.to_thread(
        pss, "tenant", "import", str(target), "--as", "other_one"
    )
    assert (2, True) == (done, "not whole" in err)


@pytest.mark.parametrize("name", ["out.zip", "out.tar.gz"])
async def test_damaged_archives(kit: TestKit, pss: Pss, tmp_path: Path, name: str) -> None:
    """A changed byte or a lost end of an archive makes 'verify' end with 1, as for a folder."""
    code = await _tenant(kit)
    target = tmp_path / name
    await asyncio.to_thread(pss, "tenant", "export", code, str(target))
    whole = target.read_bytes()
    middle = len(whole) // 3
    changed = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    for content in (changed, whole[: len(whole) // 2], whole[:-4], b""):
        target.write_bytes(content)
        done, out, _ = await asyncio.to_thread(pss, "tenant", "verify", str(target), "--json")
        assert (1, False) == (done, json.loads(out)["whole"])
        assert "can't be unpacked" in " ".join(json.loads(out)["faults"])
    assert [name] == _names(tmp_path)


async def test_uninstall(kit: TestKit, pss: Pss, tmp_path: Path) -> None:
    """With --cascade the list comes first; nothing of them remains, and the files are there."""
    code = await _tenant(kit)
    asked = ["plugin", "uninstall", "notes", "--tenant", code]

    async def said(*arguments: str, typed: str = "") -> Said:
        return await asyncio.to_thread(pss, *arguments, typed=typed)

    done, _, err = await said(*asked)
    assert (2, True) == (done, "Without --purge there is nothing to do" in err)
    done, _, err = await said(*asked, "--purge")
    assert (2, True) == (done, "echo need the plugin 'notes'" in err)
    done, _, err = await said(*asked, "--purge", "--cascade", typed="n\n")
    assert (1, True) == (done, f"To be dropped for {code}, with all their rows: echo, notes" in err)
    target = tmp_path / "kept"
    done, out, _ = await said(*asked, "--purge", "--cascade", "--to", str(target), "--yes")
    assert (0, True) == (done, f"Nothing of notes remains for {code}: 3 tables dropped." in out)
    assert (target / "notes/tables/note.jsonl").read_text(encoding="utf-8").count("\n")
    done, out, _ = await said("plugin", "list", "--tenant", code, "--json")
    states = {one["name"]: one["state"] for one in json.loads(out)["data"]}
    assert "enabled" == states.pop("identity")
    assert {"not enabled"} == set(states.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tenant", "export", "ghost", "somewhere"], "There is no tenant 'ghost'."),
        (["tenant", "verify", "nowhere"], "nowhere is no export"),
        (["tenant", "import", "nowhere.zip"], "nowhere.zip is no export"),
        (["tenant", "delete", "ghost", "--yes"], "There is no tenant 'ghost'."),
        (["tenant", "delete"], "Give either a tenant's code or --due."),
        (["tenant", "delete", "ghost", "--due"], "Give either a tenant's code or --due."),
        (["tenant", "delete", "ghost", "--after", "soon"], "'soon' is not a length of time."),
        (["tenant", "restore", "ghost"], "There is no tenant 'ghost'."),
        (["plugin", "uninstall", "x", "--tenant", "ghost", "--purge"], "no tenant 'ghost'"),
    ],
)
def test_mistakes(pss: Pss, arguments: list[str], said: str) -> None:
    """A mistake is told in a sentence, with exit code 2."""
    code, out, err = pss(*arguments)
    assert (2, "") == (code, out)
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def test_lengths_of_time() -> None:
    """A number and a unit."""
    given = {"30s": 30, "5m": 300, "12h": 43200, "7d": 604800, "2w": 1209600, "0s": 0}
    assert {text: timedelta(seconds=one) for text, one in given.items()} == {
        text: duration(text) for text in given
    }
    with pytest.raises(Invalid):
        duration("7 days")
