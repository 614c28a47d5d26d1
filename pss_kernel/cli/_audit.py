"""``pss audit``: a tenant's audit trail exported, and proved to be as it was written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from pss_kernel.cli._context import DataDir, Json, examples, print_json, with_installation
from pss_kernel.errors import Invalid
from pss_kernel.identity.audit.chain import (
    Head,
    Verified,
    exported_lines,
    verify_file,
    verify_trail,
)
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.installation import Installation
from pss_kernel.tenancy._changing import tenant_transaction

__all__ = ["app"]

app = typer.Typer(help="The audit trail of a tenant.", no_args_is_help=True)
_BROKEN = 1


@app.command(epilog=examples("pss audit export --tenant aurelis --out audit.ndjson"))
def export(
    tenant: Annotated[str, typer.Option(help="The tenant's code.")],
    out: Annotated[Path, typer.Option(help="A new file; a line for each entry (NDJSON).")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Write a tenant's audit trail with its digests, so that anybody can verify it."""

    async def work(installation: Installation) -> int:
        found = installation.directory.by_code(tenant)
        count = 0
        with _new_file(out) as file:
            async with tenant_transaction(installation, found.code, leaving=True) as owner:
                await audit_as_owner(owner, found.code, "audit.exported", found.code)
            async with installation.cell(found).owner() as owner:
                async for line in exported_lines(owner, found.schema):
                    file.write(line)
                    count += 1
        return count

    count = with_installation(work, data_dir)
    if json:
        print_json({"tenant": tenant, "out": str(out), "entries": count})
    else:
        sys.stdout.write(f"{count} entries of {tenant} are in {out}.\n")


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that nobody else may read; gone again where it could not be written whole."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Invalid(
            f"{path} can't be written: {error.strerror}.",
            code="unwritable-file",
            mend="Give the name of a new file.",
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@app.command(
    epilog=examples(
        "pss audit verify --tenant aurelis",
        "pss audit verify --all --json",
        "pss audit verify audit.ndjson --head 41:8f3c…",
    )
)
def verify(
    file: Annotated[
        Path | None, typer.Argument(help="An exported trail, instead of what is kept here.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="This tenant's.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those of every tenant.")] = False,
    head: Annotated[
        list[str] | None,
        typer.Option(help="POSITION:DIGEST that was noted before; may be given several times."),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make every digest of a trail anew; exit code 1 where it is not as it was written."""
    if (file is not None) + (tenant is not None) + every != 1:
        raise Invalid(
            "Which trail?", code="which-trail", mend="Give --tenant CODE, --all, or a file."
        )
    heads = [Head.parse(one) for one in head or []]
    if heads and every:
        raise Invalid("A head is of one trail.", code="which-trail", mend="Give its --tenant.")
    if file is not None:
        found = {str(file): _of_file(file, heads)}
    else:
        found = with_installation(_looking(tenant, heads), data_dir)
    _tell(found, json=json)


def _of_file(file: Path, heads: list[Head]) -> Verified:
    if not file.is_file():
        raise Invalid(f"There is no readable file {file}.", code="unreadable-audit-trail")
    return verify_file(file, heads)


def _looking(tenant: str | None, heads: list[Head]) -> Any:
    async def work(installation: Installation) -> dict[str, Verified]:
        directory = installation.directory
        tenants = list(directory) if tenant is None else [directory.by_code(tenant)]
        found = {}
        for one in tenants:
            async with installation.cell(one).owner() as owner:
                found[one.code] = await verify_trail(owner, one.schema, heads)
        return found

    return work


def _tell(found: dict[str, Verified], *, json: bool) -> None:
    broken = {name for name, one in found.items() if one.broken_at is not None}
    if json:
        print_json({"whole": not broken, "trails": found})
    else:
        for name, one in found.items():
            if one.broken_at is not None:
                sys.stdout.write(f"{name}: broken at {one.broken_at}. {one.why}\n")
            else:
                ends = f"; it ends at {one.head.position}:{one.head.digest}" if one.head else ""
                sys.stdout.write(f"{name}: {one.entries} entries, whole{ends}\n")
    if broken:
        raise typer.Exit(_BROKEN)
