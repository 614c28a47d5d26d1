"""``pss apikey``: credentials for staff and integrators."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from pss_kernel.auth import create_api_key
from pss_kernel.auth._keys import parse_api_key
from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.errors import Invalid, NotFound
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.installation import Installation
from pss_kernel.tenancy._changing import tenant_transaction

__all__ = ["app"]

app = typer.Typer(help="API keys of a tenant.", no_args_is_help=True)

_LIST = """
SELECT key_id, name, array_to_string(scopes, ',') AS scopes, created_at, expires_at, revoked_at
FROM pss.api_key WHERE tenant = $1 ORDER BY created_at
"""


_REVOKE = """
UPDATE pss.api_key SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1
"""


@app.command(
    epilog=examples(
        "pss apikey create --tenant aurelis --scopes '*'",
        "pss apikey create --tenant aurelis --scopes boarding:board,inventory:read --json",
    )
)
def create(
    tenant: Annotated[str, typer.Option(help="The tenant's code.")],
    scopes: Annotated[
        str, typer.Option(help="Permissions, separated by commas; 'plugin:*' or '*' for all.")
    ],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days until it expires.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a key and print it; it can't be shown a second time."""
    wanted = [one.strip() for one in scopes.split(",") if one.strip()]
    expires = datetime.now(UTC) + timedelta(days=days) if days else None

    async def work(installation: Installation) -> str:
        _check_scopes(installation, wanted)
        found = installation.directory.by_code(tenant)
        async with tenant_transaction(installation, found.code) as owner:
            made = await create_api_key(
                owner, tenant=found.code, name=name, scopes=wanted, expires_at=expires
            )
            facts = {"name": name, "scopes": wanted, "expires_at": expires}
            parts = parse_api_key(made)
            assert parts is not None
            subject = f"key:{parts[0]}"
            await audit_as_owner(owner, found.code, "api-key.created", subject, after=facts)
            return made

    key = with_installation(work, data_dir)
    if json:
        print_json({"key": key, "tenant": tenant, "scopes": wanted, "expires_at": expires})
    else:
        sys.stdout.write(f"{key}\n")
        sys.stderr.write("Keep it safe: it can't be shown again.\n")


@app.command("list", epilog=examples("pss apikey list --tenant aurelis"))
def list_keys(
    tenant: Annotated[str, typer.Option(help="The tenant's code.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """The tenant's keys, without their secrets."""

    async def work(installation: Installation) -> list[dict[str, str]]:
        found = installation.directory.by_code(tenant)
        async with installation.cell(found).owner() as owner:
            rows = await owner.fetch(_LIST, tenant)
        return [{name: str(value or "") for name, value in row.items()} for row in rows]

    rows = with_installation(work, data_dir)
    if json:
        print_json({"data": rows})
    else:
        columns = ["key_id", "name", "scopes", "created_at", "expires_at", "revoked_at"]
        print_table(columns, [[row[column] for column in columns] for row in rows])


@app.command(epilog=examples("pss apikey revoke 3f2a51c0de94b7a1"))
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id, as 'pss apikey list' shows it.")],
    data_dir: DataDir = None,
) -> None:
    """End a key; every process refuses it within a second."""

    async def work(installation: Installation) -> str | None:
        known = installation.directory.key(key_id)
        if known is None:  # no key, or one that is revoked already
            return await _tenant_of(installation, key_id)
        async with tenant_transaction(installation, known.tenant) as owner:
            await owner.execute(_REVOKE, key_id)
            await audit_as_owner(owner, known.tenant, "api-key.revoked", f"key:{key_id}")
        return known.tenant

    if with_installation(work, data_dir) is None:
        raise NotFound(f"There is no key {key_id!r}.", mend="See 'pss apikey list'.")
    sys.stdout.write(f"{key_id} is revoked.\n")


async def _tenant_of(installation: Installation, key_id: str) -> str | None:
    """Whose the key is, revoked or not."""
    for name, database in installation.cells.items():
        if name in installation.directory.unreachable:
            continue
        async with database.owner() as owner:
            found: str | None = await owner.fetchval(
                "SELECT tenant FROM pss.api_key WHERE key_id = $1", key_id
            )
        if found is not None:
            return found
    return None


def _check_scopes(installation: Installation, scopes: list[str]) -> None:
    known = installation.registry.permissions
    groups = {"*", *(f"{name.partition(':')[0]}:*" for name in known)}
    unknown = [scope for scope in scopes if scope not in known and scope not in groups]
    if unknown or not scopes:
        raise Invalid(
            f"No such scope: {', '.join(unknown) or '(none given)'}.",
            code="unknown-scope",
            mend=f"Known are: *, {', '.join(sorted(known))}.",
        )
