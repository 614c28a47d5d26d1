"""``pss settings`` and ``pss keys``: what they do, and that they show no secret."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pss_guarded import Settings
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit

Said = tuple[int, str, str]
Pss = Callable[..., Said]


class _Terminal(io.StringIO):
    """A standard input that a person types into."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the next command its standard input."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.fixture
async def tenant(one: TestKit) -> Tenant:
    """A tenant with the plugin."""
    return await one.make_tenant(settings={"guarded": {"limit": 1}})


@pytest.fixture
def now(guarded_embedded: Installation, tenant: Tenant) -> Callable[[], Any]:
    """The settings as a process sees them after its next look."""

    async def look() -> Settings:
        await guarded_embedded.directory.refresh()
        found = guarded_embedded.directory.by_code(tenant.code)
        return guarded_embedded.settings_of(found, Settings)

    return look


def test_set_and_show(pss: Pss, tenant: Tenant) -> None:
    """A setting is changed, shown, and taken back."""
    at = ("--tenant", tenant.code)
    code, out, err = pss("settings", "set", "guarded.limit", "42", *at)
    assert (0, "guarded.limit is changed.\n") == (code, out)
    assert "next 'pss tenant apply' sets what the tenant's file says" in err
    assert "was so already" in pss("settings", "set", "guarded.limit", "42", *at)[1]
    _, out, _ = pss("settings", "show", *at, "--json")
    rows = {row["setting"]: row for row in json.loads(out)["data"]}
    assert (42, "set", False) == tuple(rows["limit"][one] for one in ("value", "from", "secret"))
    assert (None, "default", True) == tuple(rows["token"][o] for o in ("value", "from", "secret"))
    assert 0 == pss("settings", "unset", "guarded.limit", *at)[0]
    _, out, _ = pss("settings", "show", *at, "--plugin", "guarded")
    assert ["guarded.limit", "5", "default"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("guarded.address", "plain text", "plain text"),
        ("guarded.address", "42", "42"),
        ("guarded.main", '{ name = "x" }', {"name": "x"}),
        ("guarded.accounts.a.name", "first", {"a": {"name": "first"}}),
    ],
)
def test_values(pss: Pss, tenant: Tenant, key: str, value: str, expected: Any) -> None:
    """A value is text where the setting is text, and TOML where it is something else."""
    at = ("--tenant", tenant.code)
    assert 0 == pss("settings", "set", key, value, *at)[0]
    rows = json.loads(pss("settings", "show", *at, "--json")[1])["data"]
    (found,) = [row["value"] for row in rows if row["setting"] == key.split(".")[1]]
    assert expected == found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "guarded.limit", "101"], "limit: Expected `int` <= 100."),
        (["set", "guarded.limit", "many"], "limit: Expected `int`, got `str`."),
        (["set", "guarded.limits", "1"], "There is no setting 'limits' here. Known are: accounts"),
        (["set", "guarded.limit.x", "1"], "'limit' is no table."),
        (["set", "guarded", "1"], "'guarded' names no setting."),
        (["set", "nothing.limit", "1"], "nothing"),
        (["unset", "guarded.limits"], "There is no setting 'limits' here."),
        (["set", "guarded.token", "shown"], "other users of this machine can see a command line"),
        (["set", "guarded.main", '{password="shown"}'], "other users of this machine can see"),
        (["set", "guarded.main", '{password={"$sealed"="AA"}}'], "can't have '$sealed' in it"),
        (["set", "guarded.token", "--from-file", "nowhere"], "nowhere can't be read"),
    ],
)
def test_mistakes(pss: Pss, tenant: Tenant, arguments: list[str], said: str) -> None:
    """A mistake is said in a sentence, changes nothing, and exits with 2."""
    command, *rest = arguments
    code, out, err = pss("settings", command, *rest, "--tenant", tenant.code)
    assert (2, "") == (code, out)
    assert said in err
    assert "Traceback" not in err
    assert "shown" not in err
    history = json.loads(pss("settings", "history", "--tenant", tenant.code, "--json")[1])
    assert 1 == len(history["data"])


async def test_a_secret_from_standard_input(
    pss: Pss, tenant: Tenant, typed: Callable[[str], None], now: Callable[[], Any], clear: str
) -> None:
    """A secret is read from standard input, and no command shows it."""
    typed(f"{clear}\n")
    at = ("--tenant", tenant.code)
    said = [_in_thread(pss, "settings", "set", "guarded.token", *at)]
    assert (await now()).token.reveal() == clear
    for command in (
        ["settings", "show", *at],
        ["settings", "show", *at, "--json"],
        ["settings", "history", *at],
        ["settings", "history", *at, "--json", "--setting", "token"],
        ["tenant", "show", tenant.code, "--json"],
        ["tenant", "list", "--json"],
        ["plugin", "list", *at],
        ["keys", "status"],
        ["keys", "status", "--json"],
        ["settings", "set", "guarded.limit", "1000", *at],
    ):
        said.append(_in_thread(pss, *command))  # noqa: PERF401 - easier to read
    assert "'pss tenant apply' leaves it" in said[0][2]
    assert "***" in said[1][1]
    assert [] == [one for one in said if clear in f"{one}"]


def _in_thread(pss: Pss, *arguments: str) -> Said:
    """A command runs a loop of its own, which a test that has one must leave it."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - for this alone

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(pss, *arguments).result()


async def test_a_secret_from_a_file_or_a_prompt(
    pss: Pss,
    tenant: Tenant,
    now: Callable[[], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A secret comes from a file, from a prompt, or on demand from the command line."""
    at = ("--tenant", tenant.code)
    (tmp_path / "token").write_text("of a file\n")
    _in_thread(pss, "settings", "set", "guarded.token", "--from-file", f"{tmp_path}/token", *at)
    assert "of a file" == (await now()).token.reveal()
    monkeypatch.setattr(sys, "stdin", _Terminal())
    monkeypatch.setattr("typer.prompt", lambda _key, **options: f"typed {options['hide_input']}")
    _in_thread(pss, "settings", "set", "guarded.main.password", *at)
    assert "typed True" == (await now()).main.password.reveal()
    _in_thread(pss, "settings", "set", "guarded.token", "argued", "--in-clear", *at)
    assert "argued" == (await now()).token.reveal()


def test_who_and_by_what(pss: Pss, tenant: Tenant) -> None:
    """The history names the person and the command."""
    at = ("--tenant", tenant.code)
    pss("settings", "set", "guarded.limit", "2", *at)
    (latest, *_) = json.loads(pss("settings", "history", *at, "--json")[1])["data"]
    assert ("limit", 1, 2) == tuple(latest[one] for one in ("setting", "before", "after"))
    assert "pss settings set" == latest["source"]
    assert latest["actor"].startswith("cli:")
    _, out, _ = pss("settings", "history", *at, "--limit", "1")
    assert "guarded.limit" in out
    assert "pss settings set" in out


FILE = """
[tenant]
code = "{code}"
name = "Filed"
currency = "EUR"
time_zone = "UTC"
[plugins.guarded]
limit = 8
{more}
"""


async def test_references_in_a_file(
    pss: Pss,
    one: TestKit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: Callable[[str], None],
    clear: str,
) -> None:
    """A tenant's file says where a secret is; applying it again changes nothing."""
    monkeypatch.setenv("A_TOKEN", clear)
    (tmp_path / "password.txt").write_text(f"{clear}-in-a-file\n")
    references = ('token = { env = "A_TOKEN" }', 'main.password = { file = "password.txt" }')
    more = "\n".join(references)
    (tmp_path / "tenant.toml").write_text(FILE.format(code="filed", more=more))
    said = [_in_thread(pss, "tenant", "apply", str(tmp_path)) for _ in (1, 2)]
    assert (0, "Nothing to change.\n") == said[1][:2]
    await one.installation.directory.refresh()
    settings = one.installation.settings_of(one.installation.directory.by_code("filed"), Settings)
    assert settings.token
    assert settings.main.password
    assert clear == settings.token.reveal()
    assert f"{clear}-in-a-file" == settings.main.password.reveal()
    monkeypatch.setenv("A_TOKEN", f"{clear}-changed")
    said.append(_in_thread(pss, "tenant", "plan", str(tmp_path), "--json"))
    assert [{"action": "change", "what": "settings of guarded", "detail": "token"}] == json.loads(
        said[2][1]
    )["changes"]
    assert clear not in f"{said}"
    # Left out of the file, what is stored stays, and so does what a command has set.
    (tmp_path / "tenant.toml").write_text(FILE.format(code="filed", more=""))
    plan = json.loads(_in_thread(pss, "tenant", "plan", str(tmp_path), "--json")[1])
    assert [{"action": "change", "what": "settings of guarded", "detail": "main"}] == plan[
        "changes"
    ]
    _in_thread(pss, "tenant", "apply", str(tmp_path))
    typed("by a command")
    _in_thread(pss, "settings", "set", "guarded.token", "--tenant", "filed")
    _in_thread(pss, "settings", "set", "guarded.limit", "9", "--tenant", "filed")
    again = json.loads(_in_thread(pss, "tenant", "apply", str(tmp_path), "--json")[1])
    assert ["limit"] == [change["detail"] for change in again["changes"]]
    await one.installation.directory.refresh()
    settings = one.installation.settings_of(one.installation.directory.by_code("filed"), Settings)
    assert settings.token
    assert (8, "by a command") == (settings.limit, settings.token.reveal())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('token = "in-clear"', "A secret must not stand in this file."),
        ('token = { env = "NOT_SET_ANYWHERE" }', "variable NOT_SET_ANYWHERE is not set."),
        ('token = { env = "PSS_MASTER_KEY" }', "PSS_MASTER_KEY is the installation's own."),
        ('token = { file = "/etc/hostname" }', "is not in the tenant's folder."),
        ('token = { file = "../other/secret" }', "is not in the tenant's folder."),
        ('token = { file = "nowhere" }', "The file nowhere with the secret can't be read."),
        ('token = { "$sealed" = "AAAA" }', "A secret must not stand in this file."),
        ('spare = ["in-clear"]', "A secret must not stand in this file."),
        ("token = 5", "A secret must not stand in this file."),
    ],
)
def test_a_secret_in_a_file(pss: Pss, tmp_path: Path, line: str, said: str) -> None:
    """A file with a secret in it, or a reference to nothing, is refused with line and mend."""
    (tmp_path / "tenant.toml").write_text(FILE.format(code="refused", more=line))
    code, _, err = pss("tenant", "plan", str(tmp_path))
    assert 2 == code
    assert "tenant.toml:9: " in err
    assert said in err
    assert "in-clear" not in err


def test_the_key_file(
    pss: Pss, tenant: Tenant, typed: Callable[[str], None], guarded_embedded: Installation
) -> None:
    """An embedded installation makes its own key file, which its owner alone can read."""
    typed("something")
    pss("settings", "set", "guarded.token", "--tenant", tenant.code)
    path = guarded_embedded.config.data_dir / "master.key"
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    status = json.loads(pss("keys", "status", "--json")[1])
    assert (str(path), 1) == (status["source"], len(status["masters"]))
    (row,) = [one for one in status["data"] if one["tenant"] == tenant.code]
    assert (1, "current", True) == (row["key"], row["state"], row["opens"])
    assert path.read_text().splitlines()[-1] not in json.dumps(status)


def test_generate(pss: Pss) -> None:
    """A new master key is printed, a different one each time."""
    keys = {pss("keys", "generate")[1] for _ in range(3)}
    assert {(3, 45)} == {(len(keys), len(key)) for key in keys}


async def test_erasing_asks(
    pss: Pss, one: TestKit, tenant: Tenant, typed: Callable[[str], None]
) -> None:
    """What can't be undone asks first, unless told not to; who is not known is not erased."""
    typed("n\n")
    code, _, err = _in_thread(pss, "keys", "erase-tenant", tenant.code)
    assert 2 == code
    assert "Nothing was erased. Give --yes." in err
    typed("n\n")
    erase = ("keys", "erase-person", "vis_1", "--tenant", tenant.code)
    assert 2 == _in_thread(pss, *erase)[0]
    code, _, err = _in_thread(pss, *erase, "--yes")
    assert (2, True) == (code, "keeps no personal data of a 'vis_1'; nothing was erased." in err)
    async with one.unit_of_work(tenant) as uow:
        await uow.seal({"vis_1": {"note.body": "x"}})
    assert (0, "vis_1 is erased.\n") == _in_thread(pss, *erase, "--yes")[:2]
    done = _in_thread(pss, *erase, "--yes", "--json")[1]
    assert [] == json.loads(done)["erased"]


@pytest.mark.parametrize("arguments", [["rotate"], ["rotate", "--all", "--tenant", "x"]])
def test_of_which_tenants(pss: Pss, arguments: list[str]) -> None:
    """Rotation is of one tenant or of all."""
    code, _, err = pss("keys", *arguments)
    assert 2 == code
    assert "Give --tenant CODE, or --all." in err
