"""The ``pss`` command: help with examples, plain words for mistakes, JSON for machines."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from pss_kernel.cli._context import installed_plugins
from pss_kernel.cli._main import build
from pss_kernel.registry import Registry

Said = tuple[int, str, str]


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below, with the words that lead to it."""
    for name, one in getattr(command, "commands", {}).items():
        if hasattr(one, "commands"):
            yield from _leaves(one, (*path, name))
        else:
            yield (*path, name), one


def test_every_command_shows_examples(every_plugin: Registry) -> None:
    """The help of each command, the plugins' included, shows what people type."""
    installed_plugins.cache_clear()
    app = build()
    runner = CliRunner()
    found = dict(_leaves(typer.main.get_command(app)))
    assert {("serve",), ("worker",), ("doctor",), ("tenant", "apply")} <= found.keys()
    without = []
    for path in found:
        shown = runner.invoke(app, [*path, "--help"], prog_name="pss")
        assert (0, None) == (shown.exit_code, shown.exception), path
        if f"pss {' '.join(path)}" not in shown.output.partition("Examples:")[2]:
            without.append(" ".join(path))
    assert [] == without


def test_every_group_explains_itself(every_plugin: Registry) -> None:
    """A group without a command prints its help."""
    app = build()
    for group in ([], ["tenant"], ["plugin"], ["apikey"], ["decode"]):
        shown = CliRunner().invoke(app, group, prog_name="pss")
        assert "Commands" in shown.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tenant", "plan", "nowhere"], "There is no readable nowhere/tenant.toml."),
        (["tenant", "apply", "nowhere"], "Give the folder of a tenant"),
        (["tenant", "show", "ghost"], "There is no tenant 'ghost'."),
        (["plugin", "enable", "notes", "--tenant", "ghost"], "There is no tenant 'ghost'."),
        (["plugin", "list", "--tenant", "ghost"], "There is no tenant 'ghost'."),
        (["apikey", "create", "--tenant", "ghost", "--scopes", "*"], "There is no tenant"),
        (["apikey", "create", "--tenant", "ghost", "--scopes", "fly"], "No such scope: fly."),
        (["apikey", "create", "--tenant", "ghost", "--scopes", ","], "(none given)"),
        (["apikey", "revoke", "0"], "There is no key '0'. See 'pss apikey list'."),
        (["apikey", "create", "--tenant", "x"], "Missing option '--scopes'"),
        (["serve", "--port", "99999"], "Input should be less than or equal to 65535"),
        (["serve", "--host", "999.1.1.1"], "can't be used"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["tenant", "plan"], "Missing argument"),
        (["decode", "nothing", "x"], "No such command 'nothing'"),
    ],
)
def test_mistakes(pss: Callable[..., Said], arguments: list[str], said: str) -> None:
    """A mistake is told in plain words on standard error, with exit code 2, no traceback."""
    code, out, err = pss(*arguments)
    assert (2, "") == (code, out)
    assert said in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PSS_DATABASE_URL", "mysql://x", "must be PostgreSQL"),
        ("PSS_DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/x", "can't be reached"),
        ("PSS_POOL_SIZE", "many", "The environment variable PSS_POOL_SIZE is wrong"),
        ("PSS_POOL_SIZE", "0", "The environment variable PSS_POOL_SIZE is wrong"),
    ],
)
def test_a_wrong_environment(
    pss: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """A variable that is wrong is told the same way, without the password in it."""
    monkeypatch.setenv(name, value)
    code, _, err = pss("tenant", "list")
    assert 2 == code
    assert said in err
    assert "secret" not in err
    assert "Traceback" not in err


def test_a_tenant_from_files_to_key(pss: Callable[..., Said], tmp_path: Path) -> None:
    """Plan, apply, look, make a key, revoke it, disable and enable: each says what it did."""
    text = '[tenant]\ncode = "cli"\nname = "Cli"\ncurrency = "EUR"\ntime_zone = "UTC"\n'
    folder = str(tmp_path)
    (tmp_path / "tenant.toml").write_text(text + "[plugins.notes]\n[plugins.echo]\n")
    assert (0, "create tenant cli: Cli\nenable plugin notes\nenable plugin echo\n", "") == pss(
        "tenant", "plan", folder
    )
    assert 0 == pss("tenant", "apply", folder)[0]
    assert (0, "Nothing to change.\n") == pss("tenant", "apply", folder)[:2]
    assert {"changes": []} == msgspec.json.decode(pss("tenant", "plan", folder, "--json")[1])
    shown = msgspec.json.decode(pss("tenant", "show", "cli", "--json")[1])
    assert ["echo", "notes"] == shown["enabled"]
    assert "cli" in pss("tenant", "list")[1]

    made = pss("apikey", "create", "--tenant", "cli", "--scopes", "notes:*", "--json")
    key = msgspec.json.decode(made[1])["key"]
    listed = msgspec.json.decode(pss("apikey", "list", "--tenant", "cli", "--json")[1])["data"]
    assert [key.split("_")[2]] == [one["key_id"] for one in listed]
    assert key.split("_", 3)[3] not in str(listed)
    assert f"{listed[0]['key_id']} is revoked." in pss("apikey", "revoke", listed[0]["key_id"])[1]

    code, _, err = pss("plugin", "disable", "notes", "--tenant", "cli")
    assert (2, True) == (code, "echo need the plugin 'notes'" in err)
    cascade = ("plugin", "disable", "notes", "--tenant", "cli", "--cascade")
    code, _, err = pss(*cascade)
    assert (2, True) == (code, "echo of cli need notes" in err)
    assert "echo, notes disabled." in pss(*cascade, "--yes")[1]
    assert "notes, echo enabled." in pss("plugin", "enable", "echo", "--tenant", "cli")[1]
    assert "Nothing to do" in pss("plugin", "enable", "echo", "--tenant", "cli")[1]
    states = msgspec.json.decode(pss("plugin", "list", "--tenant", "cli", "--json")[1])["data"]
    assert ["enabled"] * 3 == [one["state"] for one in states]


def test_many_tenants(pss: Callable[..., Said], tmp_path: Path) -> None:
    """A folder of folders is planned and applied as one; one that fails is named, exit code 2."""
    text = '[tenant]\ncode = "{}"\nname = "{}"\ncurrency = "EUR"\ntime_zone = "UTC"\n'
    for code in ("many_a", "many_b", "many_c"):
        (tmp_path / code / "counters").mkdir(parents=True)
        (tmp_path / code / "tenant.toml").write_text(text.format(code, code) + "[plugins.notes]\n")
    wrong = tmp_path / "many_b" / "counters" / "a.toml"
    wrong.write_text("a = 1\na = 2\n")
    folder = str(tmp_path)
    code, out, err = pss("tenant", "plan", folder)
    assert (0, "") == (code, err)
    assert "many_a: create tenant many_a: many_a\nmany_a: enable plugin notes\n" in out
    assert out.endswith("3 tenants: 3 planned.\n")

    code, out, err = pss("tenant", "apply", folder, "--parallel", "2")
    assert (2, "3 tenants: 2 applied, 1 failed.") == (code, out.splitlines()[-1])
    assert "many_a: create 1, enable 1\n" in out
    assert ["tenants 1/3", "tenants 2/3", "tenants 3/3"] == [
        line for line in err.splitlines() if line.startswith("tenants ")
    ]
    assert "many_b: TOMLDecodeError: Cannot overwrite a value" in err
    assert "Error: 1 of 3 tenants could not be applied: many_b. Mend" in err

    wrong.write_text("a = 1\n")
    each = [f"{tmp_path}/{name}" for name in ("many_c", "many_b")]
    code, out, err = pss("tenant", "apply", *each, "--json")
    assert (0, [("many_c", "unchanged", 0), ("many_b", "applied", 1)]) == (
        code,
        [
            (one["tenant"], one["state"], len(one["changes"]))
            for one in msgspec.json.decode(out)["tenants"]
        ],
    )
    assert (0, "Nothing to change.\n", "") == pss("tenant", "apply", folder)
    assert (2, "") == pss("tenant", "apply", folder, "--parallel", "0")[:2]


def test_doctor(pss: Callable[..., Said]) -> None:
    """It says what is there, and what is not configured is no failure."""
    checks = _checks(pss("doctor", "--json")[1])
    assert ("ok", "not configured") == (checks["database"], checks["rabbitmq"])
    assert set() == _failed(checks)


def _checks(out: str) -> dict[str, str]:
    return {one["name"]: one["state"] for one in msgspec.json.decode(out)["checks"]}


def _failed(checks: dict[str, str]) -> set[str]:
    """What failed, but for plugins: tenants of other tests have some that are not here."""
    return {name for name, state in checks.items() if state == "failed"} - {"plugins"}


def test_doctor_with_services(
    pss: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    server_database: dict[str, Any],
    amqp_url: str,
    redis_url: str,
) -> None:
    """Server, broker and cache that answer are all well."""
    monkeypatch.setenv("PSS_AMQP_URL", amqp_url)
    monkeypatch.setenv("PSS_REDIS_URL", redis_url)
    for name, value in server_database.items():
        monkeypatch.setenv(f"PSS_{name.upper()}", value)
    checks = _checks(pss("doctor", "--json")[1])
    assert ("ok", "ok", "ok") == (checks["database"], checks["rabbitmq"], checks["redis"])
    assert set() == _failed(checks)


def test_doctor_with_a_service_that_is_away(
    pss: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that does not answer is a failure with a mend; without Redis it is served on."""
    monkeypatch.setenv("PSS_REDIS_URL", "redis://127.0.0.1:1/")
    _, out, _ = pss("doctor")
    assert re.search(r"^warning +redis .*each process counts limits for itself", out, re.MULTILINE)
    assert "Start it, or correct PSS_REDIS_URL." in out
    monkeypatch.setenv("PSS_AMQP_URL", "amqp://127.0.0.1:1/")
    code, out, _ = pss("doctor")
    assert (1, True) == (code, "Start it, or correct PSS_AMQP_URL." in out)


def test_as_a_program() -> None:
    """The installed program answers; a mistake ends with 2 and one sentence."""
    command = [sys.executable, "-m", "pss_kernel.cli"]
    run = subprocess.run([*command, "tenant", "plan", "/nowhere"], capture_output=True, text=True,
                         check=False, env={"PSS_DATABASE_URL": "x:y", "PATH": ""})  # fmt: skip
    assert (2, "") == (run.returncode, run.stdout)
    assert run.stderr.startswith("Error: ")
    assert "Traceback" not in run.stderr
