"""``pss apikey``: credentials for staff and integrators."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar

import asyncpg
import msgspec
import typer

from pss_kernel.api_versions import NEWEST
from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.errors import Conflict, NotFound
from pss_kernel.identity.api_keys import rules, store
from pss_kernel.identity.api_keys.making import audited, make_key, rotate_key
from pss_kernel.identity.api_keys.resources import ApiKeyFacts, MadeApiKey, facts_of, made_of
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._changing import tenant_transaction
from pss_kernel.tenancy._origin import origin
from pss_kernel.tenancy._test_mode import twin_of

__all__ = ["app"]

T = TypeVar("T")
app = typer.Typer(help="API keys of a tenant.", no_args_is_help=True)

_Tenant = Annotated[str, typer.Option(help="The tenant's code.")]
_Id = Annotated[str, typer.Argument(help="The id, as 'pss apikey list' shows it.")]
_Mode = Annotated[
    Literal["live", "test"] | None,
    typer.Option(help="'test': a key for the tenant's test data. [default: the tenant's own]"),
]
_KEEP = "Keep it safe: it can't be shown again.\n"


@app.command(
    epilog=examples(
        "pss apikey create --tenant aurelis --scopes '*'",
        "pss apikey create --tenant aurelis --scopes boarding:board,inventory:read --json",
        "pss apikey create --tenant aurelis --scopes '*' --mode test --networks 203.0.113.0/24",
    )
)
def create(
    tenant: _Tenant,
    scopes: Annotated[
        str, typer.Option(help="Permissions, separated by commas; 'plugin:*' or '*' for all.")
    ],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days until it expires.")
    ] = None,
    networks: Annotated[
        str, typer.Option(help="Where it may be used from: 203.0.113.0/24,2001:db8::/32.")
    ] = "",
    mode: _Mode = None,
    version: Annotated[
        str, typer.Option(help="The version of the interface that it is made for.")
    ] = NEWEST,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a key and print it; it can't be shown a second time."""
    wanted, allowed = _listed(scopes), _listed(networks)
    expires = datetime.now(UTC) + timedelta(days=days) if days else None

    async def work(installation: Installation) -> MadeApiKey:
        rules.refuse_as_a_whole(
            chain(
                rules.scope_errors(installation.registry, wanted or ["(none given)"]),
                rules.network_errors(allowed),
                rules.version_errors(version),
            )
        )
        found = _holder(installation, tenant, mode)
        async with tenant_transaction(installation, found.code) as owner:
            row, text = await make_key(
                owner.fetch,
                found.code,
                found.mode,
                name=name,
                scopes=wanted,
                expires_at=expires,
                networks=rules.networks_of(allowed),
                api_version=version,
                created_by=origin.get().actor,
            )
            subject, after = f"key:{row['key_id']}", audited(row)
            await audit_as_owner(owner, found.code, "api-key.created", subject, after=after)
            return made_of(row, text)

    _show_made(with_installation(work, data_dir), tenant, json=json)


@app.command("list", epilog=examples("pss apikey list --tenant aurelis"))
def list_keys(
    tenant: _Tenant, mode: _Mode = None, data_dir: DataDir = None, json: Json = False
) -> None:
    """The tenant's keys, without their secrets; those of its test data with '--mode test'."""

    async def work(installation: Installation) -> list[ApiKeyFacts]:
        found = _holder(installation, tenant, mode)
        async with installation.cell(found).owner() as owner:
            return [facts_of(row) for row in await store.keys_of(owner.fetch, found.code)]

    keys = with_installation(work, data_dir)
    if json:
        print_json({"data": [_as_json(one) for one in keys]})
        return
    columns = ["key_id", "name", "mode", "state", "scopes", "networks", "expires_at"]
    columns += ["last_used_at", "replaces"]
    shown = [_shown(one) for one in keys]
    print_table(columns, [[row[column] for column in columns] for row in shown])


@app.command(epilog=examples("pss apikey show 3f2a51c0de94b7a1"))
def show(key_id: _Id, data_dir: DataDir = None, json: Json = False) -> None:
    """One key with its last use, also a revoked one."""

    async def work(installation: Installation) -> ApiKeyFacts:
        code = await _tenant_of(installation, _bare(key_id))
        async with installation.cell(installation.directory.by_code(code)).owner() as owner:
            return facts_of(await store.show_key(owner.fetch, code, _bare(key_id)))

    found = with_installation(work, data_dir)
    if json:
        print_json(_as_json(found))
        return
    for name, value in _shown(found).items():
        sys.stdout.write(f"{name:15}{value}\n")


@app.command(epilog=examples("pss apikey revoke 3f2a51c0de94b7a1"))
def revoke(key_id: _Id, data_dir: DataDir = None, json: Json = False) -> None:
    """End a key; every process refuses it within a second."""

    async def work(owner: asyncpg.Connection, row: asyncpg.Record) -> ApiKeyFacts:
        await store.revoke_key(owner.fetch, row)
        if row["state"] != "revoked":
            subject, before = f"key:{row['key_id']}", audited(row)
            await audit_as_owner(owner, row["tenant"], "api-key.revoked", subject, before=before)
        return facts_of(await store.show_key(owner.fetch, row["tenant"], row["key_id"]))

    ended = with_installation(_with_locked(key_id, work), data_dir)
    if json:
        print_json(_as_json(ended))
    else:
        sys.stdout.write(f"{_bare(key_id)} is revoked.\n")


@app.command(epilog=examples("pss apikey rotate 3f2a51c0de94b7a1 --overlap-hours 48"))
def rotate(
    key_id: _Id,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=720, help="How long the old key works beside the new one.")
    ] = 24,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a key with the same facts and print it; the old one expires after the overlap."""

    async def work(owner: asyncpg.Connection, old: asyncpg.Record) -> MadeApiKey:
        (now,) = await owner.fetchrow("SELECT now()")
        row, text = await rotate_key(
            owner.fetch, old, timedelta(hours=overlap_hours), now, origin.get().actor
        )
        await audit_as_owner(
            owner,
            row["tenant"],
            "api-key.rotated",
            f"key:{row['key_id']}",
            before=audited(old),
            after=audited(row) | {"overlap_hours": overlap_hours},
        )
        return made_of(row, text)

    made = with_installation(_with_locked(key_id, work), data_dir)
    _show_made(made, None, json=json)
    if not json:
        sys.stderr.write(f"{_bare(key_id)} works for another {overlap_hours} hours.\n")


def _show_made(made: MadeApiKey, tenant: str | None, *, json: bool) -> None:
    if json:
        print_json(({"tenant": tenant} if tenant else {}) | _as_json(made))
    else:
        sys.stdout.write(f"{made.key}\n")
        sys.stderr.write(_KEEP)


def _as_json(key: ApiKeyFacts) -> dict[str, Any]:
    """As the interface shows it, with the id that commands take."""
    return {"key_id": _bare(key.id), **msgspec.structs.asdict(key)}


def _shown(key: ApiKeyFacts) -> dict[str, str]:
    """As text, with the id that other commands take first."""
    facts = msgspec.structs.asdict(key)
    texts = {
        name: ",".join(value) if isinstance(value, list) else str(value or "")
        for name, value in facts.items()
    }
    return {"key_id": _bare(texts.pop("id")), **texts}


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _bare(key_id: str) -> str:
    """The id without what the interface puts before it, or the text of a key."""
    return key_id.removeprefix("key_")


def _holder(installation: Installation, code: str, mode: Literal["live", "test"] | None) -> Tenant:
    tenant = installation.directory.by_code(code)
    if mode in {None, tenant.mode}:
        return tenant
    twin = twin_of(installation.directory, tenant)
    if mode == "live" or twin is None:
        raise Conflict(
            f"{code!r} has no {mode} data.",
            code="test-mode-not-enabled",
            mend=f"See 'pss tenant test-mode enable {code}'." if mode == "test" else None,
        )
    return twin


def _with_locked(
    key_id: str, work: Callable[[asyncpg.Connection, asyncpg.Record], Awaitable[T]]
) -> Callable[[Installation], Awaitable[T]]:
    """Do something with a key, locked in a transaction of its tenant."""

    async def locked(installation: Installation) -> T:
        code = await _tenant_of(installation, _bare(key_id))
        async with tenant_transaction(installation, code) as owner:
            return await work(owner, await store.locked_key(owner.fetch, code, _bare(key_id)))

    return locked


async def _tenant_of(installation: Installation, key_id: str) -> str:
    """Whose the key is, revoked or not. Raises NotFound."""
    known = installation.directory.key(key_id)
    if known is not None:
        return known.tenant
    for name, database in installation.cells.items():
        if name in installation.directory.unreachable:
            continue
        async with database.owner() as owner:
            found: Any = await owner.fetchval(
                "SELECT tenant FROM pss.api_key WHERE key_id = $1", key_id
            )
        if found is not None:
            return str(found)
    raise NotFound(f"There is no key {key_id!r}.", mend="See 'pss apikey list'.")
