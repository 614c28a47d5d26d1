"""Writes ``docs/reference.md``: what the installed plugins bring, from their own declarations.

Run it as ``python docs/generate_reference.py`` after changing a plugin; a test fails while the
page is out of date.
"""
# ruff: noqa: INP001 - a folder of pages with scripts, not a package

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer
from problem_codes import problem_codes

from pss_kernel.config import IDENTITY
from pss_kernel.hooks import HookSpec, Service
from pss_kernel.keys._personal import personal_columns
from pss_kernel.keys._secret import encode_secret
from pss_kernel.plugin import Permission, Plugin
from pss_kernel.registry import Registry
from pss_kernel.tenancy._secret_settings import secret_fields

__all__ = ["PAGE", "ours", "reference", "table"]

PAGE = Path(__file__).with_name("reference.md")
_PLUGINS = Path(__file__).parents[1] / "plugins"
_LONGEST_DEFAULT = 60
_HEAD = """# Reference of the plugins

Written by `docs/generate_reference.py` from what the plugins declare; don't edit it by hand.
Every route is described in full, with its fields, on the OpenAPI page of a running server
(`/docs`). What all routes share is in [http.md](http.md); who has which permission in
[permissions.md](permissions.md).
"""


def reference() -> str:
    """The whole page."""
    plugins = ours()
    parts = [_HEAD, _contents(plugins)]
    parts += ["\n".join(_plugin(plugin)) for plugin in plugins]
    return "\n".join(parts).rstrip() + "\n"


def ours() -> list[Plugin]:
    """The plugins of this repository and the built-in one, in the order of their needs."""
    registry = Registry.discover(strict=True)
    return [
        one
        for one in registry.plugins.values()
        if one.name == IDENTITY or (_PLUGINS / one.name).is_dir()
    ]


def _contents(plugins: list[Plugin]) -> str:
    rows = [[f"[{one.name}](#{one.name})", one.summary, _names(one.requires)] for one in plugins]
    return "\n".join(table(["plugin", "what it is for", "requires"], rows))


def _plugin(plugin: Plugin) -> Iterator[str]:
    yield f"\n## {plugin.name}\n"
    if plugin.name == IDENTITY:
        more = "comes with the kernel, every tenant has it; more in [access.md](access.md)"
    else:
        page = f"plugins/{plugin.name}/README.md"
        more = f"more in [{page}](../{page})"
    yield f"{plugin.summary}. Version {plugin.version}; {more}.\n"
    for title, lines in (
        ("Permissions", _permissions(plugin)),
        ("Settings", _settings(plugin)),
        ("Personal data", _personal(plugin)),
        ("Routes", _routes(plugin)),
        ("Events it emits", _events(plugin)),
        ("Events it handles", _handlers(plugin)),
        ("Hooks that others may implement", _hooks(plugin)),
        ("Hooks that it implements", _implementations(plugin)),
        ("Services", _services(plugin)),
        ("Jobs", _jobs(plugin)),
        ("Files of a tenant", _files(plugin)),
        ("Commands and decoders", _commands(plugin)),
        ("Sidecars", _sidecars(plugin)),
        ("Codes of its refusals", _codes(plugin)),
    ):
        found = list(lines)
        if found:
            yield f"### {title}\n"
            yield from found
            yield ""


def _permissions(plugin: Plugin) -> Iterator[str]:
    rows = [[f"`{one.name}`", one.summary, _who(one)] for one in plugin.permissions]
    return table(["permission", "allows", "who"], rows)


def _who(permission: Permission) -> str:
    """Guests, and the lowest role; what else there is to know stands in permissions.md."""
    said = ["guests"] if permission.guest else []
    return ", ".join([*said, *([f"{permission.level} and above"] if permission.level else [])])


def _settings(plugin: Plugin) -> Iterator[str]:
    kind = plugin.settings
    described, types = _attribute_docs(kind)
    secrets = set(secret_fields(kind))
    rows = []
    for one in msgspec.structs.fields(kind):
        default = one.default
        if one.default_factory is not msgspec.NODEFAULT:
            default = one.default_factory()
        shown = msgspec.json.encode(default, enc_hook=encode_secret).decode()
        if len(shown) > _LONGEST_DEFAULT:
            shown = "(built in)"
        meaning = described[one.name]
        if one.encode_name in secrets:
            meaning = f"**Secret**: encrypted, shown nowhere. {meaning}".strip()
        rows.append([f"`{one.name}`", f"`{types[one.name]}`", f"`{shown}`", meaning])
    yield from table(["setting", "type", "default", "meaning"], rows)
    if rows and not any(described.values()):
        yield f"\n{_prose(inspect.getdoc(kind))}"


def _personal(plugin: Plugin) -> Iterator[str]:
    try:
        models = importlib.import_module(f"{plugin.package}.models")
    except ModuleNotFoundError:
        return
    columns = personal_columns(models.metadata)
    rows = [[f"`{column}`", what or "personal data"] for column, what in columns]
    yield from table(["column", "what is sealed there"], rows)


def _routes(plugin: Plugin) -> Iterator[str]:
    rows = [
        [
            f"`{one.method} /v1{_path(one.path)}`",
            f"`{one.permission}`",
            str(one.status),
            one.summary,
        ]
        for one in plugin.routes
    ]
    return table(["route", "permission", "status", "what it does"], rows)


def _events(plugin: Plugin) -> Iterator[str]:
    rows = [
        [
            f"`{one.event_type}` v{one.event_version}",
            ", ".join(f"`{field}`" for field in one.__struct_fields__),
            _first(one.__doc__),
        ]
        for one in plugin.emits
    ]
    return table(["event", "fields", "meaning"], rows)


def _handlers(plugin: Plugin) -> Iterator[str]:
    rows = [
        [f"`{one.event.event_type}`", f"`{one.name}`", _first(one.function.__doc__)]
        for one in plugin.handlers
    ]
    return table(["event", "consumer", "effect"], rows)


def _hooks(plugin: Plugin) -> Iterator[str]:
    rows = [
        [
            f"`{one.name}`",
            one.kind,
            f"{one.budget:g} s",
            ", ".join(f"`{name}`" for name in one.parameters),
            _first(one.__doc__),
        ]
        for one in _declared(plugin, HookSpec)
    ]
    return table(["hook", "kind", "budget", "parameters", "meaning"], rows)


def _implementations(plugin: Plugin) -> Iterator[str]:
    rows = [
        [
            f"`{one.spec.owner.removeprefix('pss_')}.{one.spec.name}`",
            str(one.order),
            _first(one.function.__doc__),
        ]
        for one in plugin.hooks
    ]
    return table(["hook", "order", "what it does"], rows)


def _services(plugin: Plugin) -> Iterator[str]:
    rows = [
        [f"`{one.name}({', '.join(one.parameters)})`", _first(one.__doc__)]
        for one in _declared(plugin, Service)
    ]
    return table(["service", "meaning"], rows)


def _jobs(plugin: Plugin) -> Iterator[str]:
    rows = [
        [
            f"`{one.name}`",
            f"every {one.every:g} s" if one.every else f"`{one.cron}`",
            _first(one.function.__doc__),
        ]
        for one in plugin.jobs
    ]
    return table(["job", "when", "what it does"], rows)


def _files(plugin: Plugin) -> Iterator[str]:
    rows = [[f"`{one.pattern}`", _first(one.load.__doc__)] for one in plugin.files]
    return table(["files", "what is done with them"], rows)


def _commands(plugin: Plugin) -> Iterator[str]:
    rows = []
    for name, group in plugin.command_groups.items():
        command = typer.main.get_command(group)
        callback = group.registered_callback
        if callback is not None and callback.invoke_without_command is True:
            rows.append([f"`pss {name}`", _first(group.info.help)])
        for child, one in getattr(command, "commands", {}).items():
            rows.append([f"`pss {name} {child}`", _first(one.help)])
    rows += [
        [f"`pss decode {name}`", _first(function.__doc__)]
        for name, function in plugin.decoders.items()
    ]
    return table(["command", "what it does"], rows)


def _sidecars(plugin: Plugin) -> Iterator[str]:
    rows = [[f"`{one.name}`", f"`{one.env_url}`"] for one in plugin.sidecars]
    return table(["server", "its address, where it runs elsewhere"], rows)


def _codes(plugin: Plugin) -> Iterator[str]:
    statuses = problem_codes(plugin.package)
    rows = [[f"`{code}`", ", ".join(sorted(statuses[code]))] for code in sorted(statuses)]
    return table(["code", "status"], rows)


def _declared(plugin: Plugin, kind: type[Any]) -> list[Any]:
    """The hooks or services that the plugin's contracts declare, in their order."""
    try:
        contracts = importlib.import_module(f"{plugin.package}.contracts")
    except ModuleNotFoundError:
        return []
    return [
        one
        for one in vars(contracts).values()
        if isinstance(one, kind) and one.owner == plugin.package
    ]


def _attribute_docs(kind: type[msgspec.Struct]) -> tuple[dict[str, str], dict[str, str]]:
    """What stands below each field of a struct, and its annotation without constraints."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    described = dict.fromkeys(kind.__struct_fields__, "")
    types = {}
    name = ""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            types[name] = _plain_type(node.annotation)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            described[name] = _prose(str(node.value.value))
            name = ""
    return described, types


def _plain_type(annotation: ast.expr) -> str:
    if (
        isinstance(annotation, ast.Subscript)
        and isinstance(annotation.value, ast.Name)
        and annotation.value.id == "Annotated"
        and isinstance(annotation.slice, ast.Tuple)
    ):
        annotation = annotation.slice.elts[0]
    return ast.unparse(annotation)


def _path(path: str) -> str:
    return path.replace(":str}", "}").replace(":int}", "}")


def table(columns: list[str], rows: list[list[str]]) -> Iterator[str]:
    """The lines of a Markdown table; none where there are no rows."""
    if not rows:
        return
    yield _row(columns)
    yield _row(["---"] * len(columns))
    for row in rows:
        yield _row(row)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _first(documentation: str | None) -> str:
    """The first paragraph, on one line."""
    return _prose((documentation or "").strip().partition("\n\n")[0])


def _prose(text: str | None) -> str:
    return " ".join((text or "").split()).replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name} is written.\n")
