"""An airline as files: every error at once, and applying them is idempotent."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pss_kernel import Conflict, Invalid
from pss_kernel.plugin import FileFinding, Plugin
from pss_kernel.registry import Registry
from pss_kernel.tenancy._file import InvalidTenant, load_tenant
from pss_kernel.tenancy._plan import apply_tenant, plan_tenant
from pss_kernel.testing import TestKit
from pss_notes import Settings, store

_GOOD = """\
[tenant]
code = "{code}"
name = "Nordwind"
currency = "EUR"
time_zone = "Europe/Oslo"
locales = ["nb", "en"]
domains = ["{code}.example"]

[brand]
primary_color = "#123456"

[plugins.notes]
most = 7
since = 2026-11-01
labels = {{ a = ["b"] }}

[plugins.echo]
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write files into a tenant's folder: ``write({"tenant.toml": text})``."""

    def write_files(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write_files


def _findings(folder: Path, registry: Registry) -> list[FileFinding]:
    with pytest.raises(InvalidTenant) as caught:
        load_tenant(folder, registry)
    assert len(caught.value.findings) == len(caught.value.errors)
    return caught.value.findings


def _lines(findings: list[FileFinding]) -> set[tuple[str, int | None]]:
    return {(one.message.partition(":")[0], one.line) for one in findings}


def test_every_error_at_once(write: Any, registry: Registry) -> None:
    """Each wrong value, each with its line and a mend."""
    folder = write(
        {
            "tenant.toml": """\
[tenant]
code = "Nord Wind"
name = ""
currency = "XXQ"
time_zone = "Europe/Nowhere"
locales = []
domains = ["not a host"]
colour = "red"

[brand]
logo = 7

[plugins.notes]
most = "many"
most_of_all = 1
labels = { a = ["x", 3] }

[plugins.echo]
loud = true

[plugins.ghost]
""",
        }
    )
    findings = _findings(folder, registry)
    assert {
        ("tenant.code", 2), ("tenant.name", 3), ("tenant.currency", 4), ("tenant.time_zone", 5),
        ("tenant.locales", 6), ("tenant.domains.0", 7), ("tenant.colour", 8), ("brand.logo", 11),
        ("plugins.notes.most", 14), ("plugins.notes.most_of_all", 15),
        ("plugins.notes.labels.a.1", 16), ("plugins.echo.loud", 19), ("plugins.ghost", 21),
    } == _lines(findings)  # fmt: skip
    assert all(one.mend and one.line for one in findings)
    told = {one.message.partition(":")[0]: str(one) for one in findings}
    assert "Installed are: identity, notes, echo." in told["plugins.ghost"]
    assert "time zone of the IANA database" in told["tenant.time_zone"]
    assert f"{folder / 'tenant.toml'}:4: " in told["tenant.currency"]


async def test_every_error_of_the_plugins_files(
    kit: TestKit, registry: Registry, write: Any
) -> None:
    """What plugins find in their own files is told by the plan, all files at once."""
    code = f"n{secrets.token_hex(3)}"
    folder = write(
        {
            "tenant.toml": _GOOD.format(code=code),
            "counters/a.toml": "good = 1\nbad = one\n",
            "counters/b.toml": "bad = two\n",
        }
    )
    wanted = load_tenant(folder, registry)
    for refuse in (plan_tenant, apply_tenant):
        with pytest.raises(InvalidTenant) as caught:
            await refuse(kit.installation, wanted)
        assert [("a.toml", 2), ("b.toml", 1)] == [
            (one.path.name, one.line) for one in caught.value.findings
        ]
    assert code not in {one.code for one in kit.installation.directory}


def test_a_missing_requirement(write: Any, registry: Registry) -> None:
    """A plugin whose requirement the file does not enable, with what to add."""
    text = _GOOD.format(code="nord").replace("[plugins.notes]", "[brand.more]", 1)
    text = text.replace('[brand.more]\nmost = 7\nsince = 2026-11-01\nlabels = { a = ["b"] }\n', "")
    (finding,) = _findings(write({"tenant.toml": text}), registry)
    assert "It requires the plugin 'notes'" in finding.message
    assert "Add [plugins.notes]." == finding.mend


def test_a_plugin_that_is_broken(write: Any) -> None:
    """One that is installed but unusable says why."""
    needy = Plugin("needy", version="1.0", requires=["absent"], package="pss_needy")
    text = '[tenant]\ncode="nord"\nname="n"\ncurrency="EUR"\ntime_zone="UTC"\n[plugins.needy]\n'
    (finding,) = _findings(write({"tenant.toml": text}), Registry([needy]))
    assert (6, "Install 'absent' or remove 'needy'.") == (finding.line, finding.mend)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[tenant\n", 1),
        ("[tenant]\ncode = \n", 2),
        ('[tenant]\ncode = "a"\ncode = "b"\n', 3),
        ("= 1", 1),
        ('[tenant]\nname = "\\q"\n', 2),
    ],
)
def test_toml_that_is_none(write: Any, registry: Registry, text: str, line: int) -> None:
    """A slip in the TOML is told with line and column."""
    (finding,) = _findings(write({"tenant.toml": text}), registry)
    assert (line, "Correct the TOML here.") == (finding.line, finding.mend)


@pytest.mark.parametrize("text", ["", "tenant = 1", "plugins = 3", "[plugins]\nnotes = 1", "a = 1"])
def test_other_shapes(write: Any, registry: Registry, text: str) -> None:
    """Valid TOML of another shape is refused with findings, not with a crash."""
    assert _findings(write({"tenant.toml": text}), registry)


def test_no_file(tmp_path: Path, registry: Registry) -> None:
    """A folder without the file, or with bytes that are not UTF-8."""
    with pytest.raises(Invalid, match="There is no readable"):
        load_tenant(tmp_path, registry)
    (tmp_path / "tenant.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match="not UTF-8"):
        load_tenant(tmp_path, registry)


async def test_plan_apply_plan(kit: TestKit, registry: Registry, write: Any) -> None:
    """The plan says what would change; after applying it is empty, and so is a second apply."""
    code = f"n{secrets.token_hex(3)}"
    files = {
        "tenant.toml": _GOOD.format(code=code),
        "counters/a.toml": "a = 1\n",
        "counters/b.toml": "b = 2\n",
    }
    folder = write(files)
    wanted = load_tenant(folder, registry)
    planned = [str(one) for one in await plan_tenant(kit.installation, wanted)]
    assert [
        f"create tenant {code}: Nordwind",
        "enable plugin notes",
        "enable plugin echo",
        "load counters of notes: counters/a.toml, counters/b.toml",
    ] == planned
    reports: list[tuple[str, int, int]] = []
    applied = await apply_tenant(kit.installation, wanted, lambda *one: reports.append(one))
    assert "load counters of notes: 2 files of counters loaded" == str(applied[-1])
    assert (f"counters of {code}", 2, 2) in reports
    assert [] == await plan_tenant(kit.installation, load_tenant(folder, registry))
    assert [] == await apply_tenant(kit.installation, load_tenant(folder, registry))
    tenant = kit.installation.directory.by_code(code)
    async with kit.unit_of_work(tenant) as uow:
        assert (2, 7) == (await store.left_in(uow, "b"), uow.settings(Settings).most)
    assert tenant is kit.installation.directory.by_host(f"{code}.example")


async def test_each_change_is_told(kit: TestKit, registry: Registry, write: Any) -> None:
    """A changed value, setting, plugin or file is one line each, and applied once."""
    code = f"n{secrets.token_hex(3)}"
    folder = write({"tenant.toml": _GOOD.format(code=code), "counters/a.toml": "a = 1\n"})
    await apply_tenant(kit.installation, load_tenant(folder, registry))
    text = (
        _GOOD.format(code=code).replace("Nordwind", "Nordwind Air").replace("most = 7", "most = 8")
    )
    write({"tenant.toml": text.replace("[plugins.echo]\n", ""), "counters/a.toml": "a = 5\n"})
    wanted = load_tenant(folder, registry)
    planned = [str(one) for one in await plan_tenant(kit.installation, wanted)]
    assert [
        f"change tenant {code}: name",
        "change settings of notes: most",
        "disable plugin echo",
        "load counters of notes: counters/a.toml",
    ] == planned
    await apply_tenant(kit.installation, wanted)
    assert [] == await plan_tenant(kit.installation, wanted)
    tenant = kit.installation.directory.by_code(code)
    assert ("Nordwind Air", {"kernel", "identity", "notes"}) == (tenant.name, tenant.enabled)
    async with kit.unit_of_work(tenant) as uow:
        assert (5, 8) == (await store.left_in(uow, "a"), uow.settings(Settings).most)


async def test_a_file_that_fails_to_load(kit: TestKit, registry: Registry, write: Any) -> None:
    """What could not be loaded is loaded by the next apply."""
    code = f"n{secrets.token_hex(3)}"
    folder = write({"tenant.toml": _GOOD.format(code=code), "counters/a.toml": "a = 1\na = 2\n"})
    with pytest.raises(ValueError, match="overwrite"):
        await apply_tenant(kit.installation, load_tenant(folder, registry))
    write({"counters/a.toml": "a = 2\n"})
    changes = await apply_tenant(kit.installation, load_tenant(folder, registry))
    assert ["load"] == [one.action for one in changes]


async def test_a_domain_of_another_tenant(kit: TestKit, registry: Registry, write: Any) -> None:
    """A host name belongs to one tenant."""
    first, second = (f"n{secrets.token_hex(3)}" for _ in range(2))
    await apply_tenant(
        kit.installation,
        load_tenant(write({"tenant.toml": _GOOD.format(code=first)}), registry),
    )
    text = _GOOD.format(code=second).replace(f"{second}.example", f"{first}.example")
    with pytest.raises(Conflict, match=f"belongs to the tenant '{first}'"):
        await apply_tenant(kit.installation, load_tenant(write({"tenant.toml": text}), registry))
