"""Every ``pss`` command that changes something of a tenant leaves an entry in its audit trail."""

from __future__ import annotations

import asyncio
import getpass
import json
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pss_kernel.cli._context import installed_plugins
from pss_kernel.cli._main import build
from pss_kernel.installation import Installation
from pss_kernel.registry import Registry

Pss = Callable[..., tuple[int, str, str]]

READING = {
    "account list", "account show", "apikey list", "apikey show", "audit verify", "cell list",
    "cell status", "decode bcbp", "operator list", "auth explain", "role list", "role show",
    "keys signing list", "keys signing retire", "keys signing rotate",
    "decode ssim", "demo", "doctor", "outgoing status",
    "keys generate", "keys status", "migrate lint", "migrate plan", "migrate status", "plugin list",
    "plugin status", "serve", "settings history", "settings show", "tenant list", "tenant plan",
    "tenant remains", "tenant show", "tenant verify", "worker",
}  # fmt: skip
"""Commands that change nothing of a tenant by themselves."""

CHANGING = {
    "tenant apply": {
        *("tenant.created", "tenant.changed", "tenant.files-loaded", "settings.changed"),
        *("plugin.enabled", "plugin.migrated"),
    },
    "audit export": {"audit.exported"},
    "tenant export": {"tenant.exported"},
    "tenant import": {"tenant.imported"},
    "tenant delete": {"tenant.deletion-scheduled"},
    "tenant restore": {"tenant.restored"},
    "plugin enable": {"plugin.enabled"},
    "plugin disable": {"plugin.disabled"},
    "plugin release": {"plugin.released"},
    "plugin uninstall": {"plugin.uninstalled"},
    "apikey create": {"api-key.created"},
    "apikey revoke": {"api-key.revoked"},
    "apikey rotate": {"api-key.rotated"},
    "settings set": {"settings.changed"},
    "settings unset": {"settings.changed"},
    "keys rotate": {"keys.rotated"},
    "keys rewrap": {"keys.rewrapped"},
    "keys erase-person": {"person.erased"},
    "keys erase-tenant": {"keys.erased"},
}
"""Commands that the test below gives, with the entries that each leaves."""

ELSEWHERE = {
    "tenant test-mode enable": "tests/kernel/test_identity_api_keys_twins.py",
    "tenant move": "tests/kernel/test_kernel_move.py",
    "migrate run": "tests/kernel/test_kernel_migrate_commands.py",
    "person export": "tests/security/test_personal_data.py",
    "person erase": "tests/security/test_personal_data.py",
    **dict.fromkeys(
        [
            *("account disable", "account enable", "account invite", "account reset"),
            "account reset-factors",
            *("account roles", "account unlock", "operator disable", "operator invite"),
        ],
        "tests/kernel/test_identity_accounts_cli.py",
    ),
    "role delete": "tests/kernel/test_identity_roles_http.py",
    "role set": "tests/kernel/test_identity_roles_http.py",
    "inventory import-ssim": "plugins/inventory/tests/test_inventory_schedule.py",
}
"""Commands that need more than one installation; the tests that show their entries."""


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, one in command.commands.items():
        if getattr(one, "commands", None):
            yield from _leaves(one, (*path, name))
        else:
            yield " ".join((*path, name))


def test_every_command_is_known_as_changing_or_reading(every_plugin: Registry) -> None:
    """A new command is put on one of the lists above; one that changes something with its test."""
    installed_plugins.cache_clear()
    found = set(_leaves(typer.main.get_command(build())))
    known = [*READING, *CHANGING, *ELSEWHERE]
    assert sorted(found) == sorted(known)
    root = Path(__file__).parents[2]
    for place in ELSEWHERE.values():
        assert "audit" in (root / place).read_text(encoding="utf-8"), place


_TENANT = """
[tenant]
code = "{code}"
name = "{name}"
currency = "EUR"
time_zone = "Europe/Vienna"
[plugins.notes]
greeting = "{greeting}"
"""
_ENTRIES = 'SELECT entry FROM "t_{code}".audit_entry ORDER BY position'


class _Trail:
    """Gives commands and looks what each adds to the trail."""

    def __init__(self, installation: Installation, pss: Pss, code: str) -> None:
        self._installation = installation
        self._pss = pss
        self._seen = 0
        self.code = code
        self.left: dict[str, set[str]] = {}

    async def __call__(self, words: str, *more: str, code: str | None = None) -> str:
        ended, out, err = await asyncio.to_thread(self._pss, *words.split(), *more)
        assert 0 == ended, err
        name = " ".join(words.split()[:2])
        entries = await self.entries(code or self.code)
        fresh = entries if code else entries[self._seen :]
        self._seen = self._seen if code else len(entries)
        for one in fresh:
            if one["actor"] == f"cli:{getpass.getuser()}" and one["source"] != "pss":
                assert socket.gethostname() == one["address"]
                assert one["source"] in {f"pss {name}", "key rotation"} or code
                self.left.setdefault(name, set()).add(one["action"])
        self.last = fresh
        return out

    async def entries(self, code: str) -> list[dict[str, Any]]:
        async with self._installation.database.owner() as owner:
            rows = await owner.fetch(_ENTRIES.format(code=code))
        return [json.loads(row["entry"]) for row in rows]

    async def run(self, statement: str, *arguments: Any) -> None:
        async with self._installation.database.owner() as owner:
            await owner.execute(statement.format(code=self.code), *arguments)


async def test_each_changing_command_leaves_its_entries(
    pss: Pss, installation: Installation, tmp_path: Path
) -> None:
    """With the actor, the machine and the command, and what was before and after."""
    code = f"aud{secrets.token_hex(3)}"
    at = ("--tenant", code)
    given = _Trail(installation, pss, code)
    folder = tmp_path / code
    (folder / "counters").mkdir(parents=True)
    file = folder / "tenant.toml"
    file.write_text(_TENANT.format(code=code, name="First", greeting="hi"), encoding="utf-8")
    (folder / "counters/a.toml").write_text("good = 1\n", encoding="utf-8")

    await given("tenant apply", str(folder))
    file.write_text(_TENANT.format(code=code, name="Second", greeting="ho"), encoding="utf-8")
    await given("tenant apply", str(folder))
    changed = {one["action"]: (one["before"], one["after"]) for one in given.last}
    assert ({"name": "First"}, {"name": "Second"}) == changed["tenant.changed"]
    assert ({"greeting": "hi"}, {"greeting": "ho"}) == changed["settings.changed"]

    await given("plugin enable echo", *at)
    await given("plugin disable echo", *at)
    await given("plugin enable echo", *at)
    await given.run(
        "UPDATE pss.tenant_plugin SET state = 'quarantined' WHERE tenant = $1 AND plugin = 'echo'",
        code,
    )
    await given("plugin release echo", *at)
    await given("settings set notes.greeting hello", *at)
    (entry,) = given.last
    assert ("notes", {"greeting": "ho"}, {"greeting": "hello"}) == (
        *(entry["subject"], entry["before"]),
        entry["after"],
    )
    await given("settings unset notes.greeting", *at)

    key = (await given("apikey create --scopes * --name desk", *at)).strip()
    (entry,) = given.last
    assert {"name": "desk", "scopes": ["*"]}.items() <= entry["after"].items()
    assert key not in json.dumps(entry)
    new = (await given("apikey rotate", entry["subject"].removeprefix("key:"))).strip()
    assert new not in json.dumps(given.last)
    await given("apikey revoke", entry["subject"].removeprefix("key:"))

    await given("audit export", "--out", str(tmp_path / "audit.ndjson"), *at)
    await given("tenant export", code, str(tmp_path / "export"))
    copy = f"{code}_copy"
    await given("tenant import", str(tmp_path / "export"), "--as", copy, "--no-events", code=copy)
    tenant = installation.directory.by_code(code)
    async with installation.unit_of_work(tenant) as uow:
        await uow.seal({"per_1": {"name": "Nora Quill"}})
    await given("keys rotate", *at)
    await given("keys rewrap --new-master")
    await given("keys erase-person per_1 --yes", *at)
    assert "Nora" not in json.dumps(given.last)
    await given("tenant delete --yes", code)
    await given("tenant restore", code)
    await given("plugin uninstall echo --purge --cascade --yes", *at)
    await given("keys erase-tenant --yes", code)

    missing = {name: wanted - given.left.get(name, set()) for name, wanted in CHANGING.items()}
    assert {} == {name: actions for name, actions in missing.items() if actions}
    for one in (code, copy):
        ended, _, err = await asyncio.to_thread(
            pss, "tenant", "delete", one, "--now", "--no-export", "--yes"
        )
        assert 0 == ended, err


@pytest.fixture(autouse=True)
def _own_plugins() -> Iterator[None]:
    yield
    installed_plugins.cache_clear()
