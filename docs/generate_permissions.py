"""Writes ``docs/permissions.md``: every permission, who has it, and the routes that ask for it.

Run it as ``python docs/generate_permissions.py`` after changing a permission or a route; a test
fails while the page is out of date.
"""
# ruff: noqa: INP001 - a folder of pages with scripts, not a package

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from generate_reference import ours, table

from pss_kernel.auth import LEVELS
from pss_kernel.plugin import Permission, Plugin

__all__ = ["PAGE", "permissions"]

PAGE = Path(__file__).with_name("permissions.md")
_HEAD = """# Roles and permissions

Written by `docs/generate_permissions.py` from what the plugins declare; don't edit it by hand. What
a role is, how an airline makes its own and how rules narrow them is in [access.md](access.md).

| mark | meaning |
| --- | --- |
| ● | the built-in role has the permission |
| guests | nobody needs an account for it; a role that has it sees or does more than the own |
| second factor | a person must have given one a few minutes ago at the most |
| special | opens special categories of personal data: never by a wildcard, in an own role by name |
| operators | of the installation; effective in the tenant `platform` alone |
| `up_to` | a role can narrow it to a highest amount for each action |
| `own …` | a role can narrow it to things of the person's own attribute of that name |
"""


def permissions() -> str:
    """The whole page."""
    parts = [_HEAD]
    for plugin in ours():
        if plugin.permissions:
            parts += [f"## {plugin.name}\n", "\n".join(_plugin(plugin)), ""]
    return "\n".join(parts).rstrip() + "\n"


def _plugin(plugin: Plugin) -> Iterator[str]:
    rows = [_row(plugin, one) for one in plugin.permissions]
    columns = ["permission", "allows", *(f"`{one}`" for one in LEVELS), "", "rules", "routes"]
    return table(columns, rows)


def _row(plugin: Plugin, one: Permission) -> list[str]:
    reached = False
    marks = []
    for level in LEVELS:
        reached = reached or level == one.level
        marks.append("●" if reached else "")
    routes = [
        f"`{route.method} /v1{route.path.replace(':str', '')}`"
        for route in plugin.routes
        if route.permission == one.name
    ]
    return [
        f"`{one.name}`",
        one.summary,
        *marks,
        ", ".join(_flags(one)),
        "; ".join(f"`{rule.name}`: {rule.what}" for rule in one.rules),
        "<br>".join(routes),
    ]


def _flags(one: Permission) -> Iterator[str]:
    if one.guest:
        yield "guests"
    if one.step_up:
        yield "second factor"
    if one.special:
        yield "special"
    if one.name.startswith("identity:platform-"):
        yield "operators"


if __name__ == "__main__":
    PAGE.write_text(permissions(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name} is written.\n")
