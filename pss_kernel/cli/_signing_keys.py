"""``pss keys signing``: what access tokens are signed with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import asyncpg
import typer

from pss_kernel.auth._signing import verifies
from pss_kernel.auth._signing_rotation import retire_key, rotate_keys
from pss_kernel.auth._signing_store import SigningKey, unwrapped
from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.config import PLATFORM
from pss_kernel.errors import Problem
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.installation import Installation
from pss_kernel.keys._master import MasterKeys

__all__ = ["app"]

app = typer.Typer(help="The keys that access tokens are signed with.", no_args_is_help=True)
_Change = Callable[[asyncpg.Connection, MasterKeys], Awaitable[list[SigningKey]]]


@app.command("list", epilog=examples("pss keys signing list", "pss keys signing list --json"))
def list_keys(data_dir: DataDir = None, json: Json = False) -> None:
    """The signing keys: the next one, the current one, and those that still verify."""

    async def work(installation: Installation) -> list[dict[str, Any]]:
        return _facts(installation, list(installation.directory.signing_keys))

    _print(with_installation(work, data_dir), json=json)


@app.command(epilog=examples("pss keys signing rotate", "pss keys signing rotate --now"))
def rotate(
    now: Annotated[
        bool, typer.Option("--now", help="Also with a next key that is a few minutes old.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Let the next key sign, and make another next one. Nobody is signed out."""
    _change(lambda owner, masters: rotate_keys(owner, masters, now=now), data_dir, json=json)


@app.command(epilog=examples("pss keys signing retire 2Hq0… --now"))
def retire(
    key: Annotated[str, typer.Argument(help="The id, as 'pss keys signing list' shows it.")],
    now: Annotated[
        bool, typer.Option("--now", help="Though tokens that it has signed may be good still.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Remove a signing key, such as one that somebody else may know.

    With --now, tokens that it has signed are refused within a second and fetched anew by whoever
    has a refresh token; the current key is rotated away first.
    """
    _change(lambda owner, masters: retire_key(owner, masters, key, now=now), data_dir, json=json)


def _change(change: _Change, data_dir: DataDir, *, json: bool) -> None:
    async def work(installation: Installation) -> list[dict[str, Any]]:
        async with installation.database.owner() as owner:
            keys = await change(owner, installation.keyring.masters)
            # They are the installation's: its operators' trail has it, where there are any.
            states = {one.key_id: one.state for one in keys}
            await audit_as_owner(owner, PLATFORM, "signing-keys.changed", "signing", after=states)
        return _facts(installation, keys)

    _print(with_installation(work, data_dir), json=json)


def _facts(installation: Installation, keys: list[SigningKey]) -> list[dict[str, Any]]:
    return [
        {
            "key": key.key_id,
            "state": key.state,
            "verifies": verifies(key),
            "created_at": key.created_at,
            "changed_at": key.changed_at,
            "master": key.master,
            "opens": _opens(installation.keyring.masters, key),
        }
        for key in keys
    ]


def _opens(masters: MasterKeys, key: SigningKey) -> bool:
    try:
        unwrapped(masters, key)
    except Problem:
        return False
    return True


def _print(keys: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json({"data": keys})
        return
    print_table(
        ["key", "state", "since", "verifies", "master", "opens"],
        [
            [
                one["key"],
                one["state"],
                f"{one['changed_at']:%Y-%m-%d %H:%M}",
                "yes" if one["verifies"] else "no",
                one["master"],
                "yes" if one["opens"] else "NO",
            ]
            for one in keys
        ],
    )
