"""``pss person``: what is kept about somebody, and its erasure on demand."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation
from pss_kernel.personal._persons import erase_persons, export_persons, persons_of
from pss_kernel.personal.contracts import ErasedData, PersonalRecord, PersonQuery

__all__ = ["app"]

app = typer.Typer(help="What is kept about people.", no_args_is_help=True)
_Tenant = Annotated[str, typer.Option(help="The tenant's code.")]
_Id = Annotated[str | None, typer.Option("--id", help="A passenger's or an account's id.")]
_Email = Annotated[str | None, typer.Option(help="An e-mail address.")]
_Reference = Annotated[
    str | None, typer.Option("--reference", help="A booking reference, with --family-name.")
]
_Family = Annotated[str | None, typer.Option(help="A family name on that booking.")]
_Given = Annotated[str | None, typer.Option(help="The given name, where several have that one.")]


@app.command(
    epilog=examples(
        "pss person export --tenant aurelis --reference K7TQ2M --family-name Quill",
        "pss person export --tenant aurelis --email nora@example.org --json",
    )
)
def export(
    tenant: _Tenant,
    id_: _Id = None,
    email: _Email = None,
    reference: _Reference = None,
    family_name: _Family = None,
    given_name: _Given = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """All that is kept about somebody, plugin by plugin, with what it is kept for."""
    query = _query(id_, email, reference, family_name, given_name)

    async def work(installation: Installation) -> tuple[list[str], list[PersonalRecord]]:
        found = installation.directory.by_code(tenant)
        async with installation.unit_of_work(found) as uow:
            persons = await persons_of(uow, query)
            records = await export_persons(uow, persons)
            for person in persons:
                uow.audit("person.exported", person)
            return persons, records

    persons, records = with_installation(work, data_dir)
    if json:
        print_json({"tenant": tenant, "persons": persons, "records": records})
        return
    for record in records:
        sys.stdout.write(
            f"{record.plugin}.{record.place} of {record.person}, kept {record.purpose}:\n"
        )
        sys.stdout.writelines(f"  {what}: {value}\n" for what, value in record.data.items())


@app.command(
    epilog=examples(
        "pss person erase --tenant aurelis --reference K7TQ2M --family-name Quill --dry-run",
        "pss person erase --tenant aurelis --id pax_01h… --yes",
    )
)
def erase(
    tenant: _Tenant,
    id_: _Id = None,
    email: _Email = None,
    reference: _Reference = None,
    family_name: _Family = None,
    given_name: _Given = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be erased, and what kept.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Erase what is kept about somebody, less what must be kept, and say why that is."""
    query = _query(id_, email, reference, family_name, given_name)
    question = "Erase what is kept about them? Nothing brings it back."
    if not (dry_run or yes or typer.confirm(question, err=True)):
        raise Invalid("Nothing was erased.", code="not-confirmed", mend="Give --yes.")

    async def work(installation: Installation) -> tuple[list[str], list[ErasedData]]:
        found = installation.directory.by_code(tenant)
        async with installation.unit_of_work(found) as uow:
            persons = await persons_of(uow, query)
            return persons, await erase_persons(uow, persons, dry_run=dry_run)

    persons, outcomes = with_installation(work, data_dir)
    if json:
        print_json({"tenant": tenant, "persons": persons, "dry_run": dry_run, "outcomes": outcomes})
        return
    print_table(
        ["place", "what", "rows", "would be" if dry_run else "is"],
        [
            [f"{one.plugin}.{one.place}", one.what, str(one.count), one.kept or "erased"]
            for one in outcomes
        ],
    )
    sys.stderr.write("Nothing was changed.\n" if dry_run else f"Erased: {', '.join(persons)}\n")


def _query(
    id_: str | None,
    email: str | None,
    reference: str | None,
    family_name: str | None,
    given_name: str | None,
) -> PersonQuery:
    return PersonQuery(
        id=id_,
        email=email,
        reference=reference,
        family_name=family_name,
        given_name=given_name,
    )
