"""Nothing that a plugin, the façade, the configuration or the command line offers is unsaid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import generate_permissions
import generate_reference
import pytest
import typer
from docs_pages import ROOT
from problem_codes import problem_codes

import pss_kernel
from pss_api.denials import DENIALS
from pss_kernel.cli._main import build
from pss_kernel.config import Config

DOCS = ROOT / "docs"


def page(name: str) -> str:
    """The text of a page of docs."""
    return (DOCS / name).read_text(encoding="utf-8")


def test_reference_is_up_to_date() -> None:
    """The reference is what the plugins declare; docs/generate_reference.py writes it."""
    assert page("reference.md") == generate_reference.reference()


def test_permissions_are_up_to_date() -> None:
    """The table of roles and permissions is what the plugins declare."""
    assert page("permissions.md") == generate_permissions.permissions()


@pytest.mark.parametrize("name", pss_kernel.__all__)
def test_public_name_is_documented(name: str) -> None:
    """Each name of the façade stands in a guide."""
    guides = page("plugin-authors.md") + page("architecture.md")
    assert re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", guides)


@pytest.mark.parametrize("method", [m for m in vars(pss_kernel.UnitOfWork) if m[0] != "_"])
def test_unit_of_work_is_documented(method: str) -> None:
    """What a unit of work can do stands in a guide; the kernel's own parts excepted."""
    kernels_own = {"acting", "facts", "flush", "wrote_events"}
    guides = page("plugin-authors.md") + page("architecture.md")
    assert method in kernels_own or method in guides


def commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command below a group, with what people type."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
            if not command.commands:
                yield f"{path} {name}", command
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(typer.main.get_command(build()), "pss"))


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_documented(command: str) -> None:
    """Each command, those of the plugins included, has its place in a heading of cli.md."""
    headings = re.findall(r"^#+ .*$", page("cli.md"), re.MULTILINE)
    assert any(f"`{command}`" in heading for heading in headings)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_documented(command: str) -> None:
    """Each option of a command stands in the section of cli.md that is about it."""
    sections = re.split(r"^### ", page("cli.md"), flags=re.MULTILINE)
    (section,) = [one for one in sections if f"`{command}`" in one.partition("\n")[0]]
    options = [
        option
        for parameter in COMMANDS[command].params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--") and option != "--help"
    ]
    assert [] == [one for one in options if not re.search(rf"(?<![\w-]){one}(?![\w-])", section)]


@pytest.mark.parametrize("field", Config.__struct_fields__)
def test_variable_is_documented(field: str) -> None:
    """Each environment variable of the configuration has its row in operations.md."""
    assert f"| `PSS_{field.upper()}` |" in page("operations.md")


@pytest.mark.parametrize("package", ["pss_kernel", "pss_api"])
def test_codes_are_documented(package: str) -> None:
    """Each code that the kernel and the application answer stands in http.md."""
    text = page("http.md")
    assert [] == sorted(code for code in problem_codes(package) if f"`{code}`" not in text)


def test_log_lines_are_documented() -> None:
    """Each warning or error that the kernel and the application log is explained to operators."""
    logged = re.compile(r"_log\.(?:warning|error|exception)\(\s*\"(\w+)\"")
    sources = [*(ROOT / "pss_kernel").rglob("*.py"), *(ROOT / "api" / "pss_api").rglob("*.py")]
    names = {name for path in sources for name in logged.findall(path.read_text(encoding="utf-8"))}
    names |= DENIALS
    assert len(names) > 5
    assert [] == sorted(name for name in names if f"`{name}`" not in page("operations.md"))
