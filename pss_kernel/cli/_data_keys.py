"""``pss keys``: what seals secrets and personal data, and changing or erasing it."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated, Any

import typer

from pss_kernel.auth._signing_rotation import rewrap_signing_keys
from pss_kernel.cli import _signing_keys
from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    progress_bars,
    with_installation,
)
from pss_kernel.errors import Invalid, NotFound
from pss_kernel.installation import Installation
from pss_kernel.keys._key_file import new_key_text
from pss_kernel.tenancy._rotation import (
    Rotated,
    erase_tenant_keys,
    rewrap_tenant,
    rotate_tenants,
)

__all__ = ["app"]

app = typer.Typer(help="The keys of secrets and personal data.", no_args_is_help=True)
app.add_typer(_signing_keys.app, name="signing")
_Tenant = Annotated[str | None, typer.Option(help="This tenant's keys.")]
_All = Annotated[bool, typer.Option("--all", help="Those of every tenant.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


@app.command(epilog=examples("pss keys status", "pss keys status --json"))
def status(data_dir: DataDir = None, json: Json = False) -> None:
    """The master keys that are known here, and the tenants' data keys."""

    async def work(installation: Installation) -> dict[str, Any]:
        masters = installation.keyring.masters
        rows = []
        for tenant in installation.directory:
            keys = await installation.keyring.ready(tenant)
            rows += [
                {
                    "tenant": tenant.code,
                    "key": key.number,
                    "state": key.state,
                    "master": key.master,
                    "opens": keys.problem(key.number) is None,
                }
                for key in tenant.keys
            ]
        return {"source": masters.source, "masters": masters.ids, "data": rows}

    found = with_installation(work, data_dir)
    if json:
        print_json(found)
        return
    masters = ", ".join(found["masters"]) or "none yet"
    sys.stdout.write(f"Master keys (in {found['source']}), the current one first: {masters}\n")
    print_table(
        ["tenant", "key", "state", "master", "opens"],
        [
            [
                row["tenant"],
                str(row["key"]),
                row["state"],
                row["master"],
                "yes" if row["opens"] else "-" if row["state"] == "erased" else "NO",
            ]
            for row in found["data"]
        ],
    )


@app.command(epilog=examples("pss keys generate >> /etc/pss/master.key"))
def generate() -> None:
    """Print a new master key, for PSS_MASTER_KEY or a key file. It is kept nowhere else."""
    sys.stdout.write(f"{new_key_text()}\n")


@app.command(epilog=examples("pss keys rotate --tenant aurelis", "pss keys rotate --all --json"))
def rotate(
    tenant: _Tenant = None, every: _All = False, data_dir: DataDir = None, json: Json = False
) -> None:
    """Give a tenant a new data key and seal everything anew, while the system runs.

    Interrupted at any moment, it is finished by running it again.
    """
    _one_or_all(tenant, every=every)

    async def work(installation: Installation) -> list[Rotated]:
        with progress_bars() as report:
            return await rotate_tenants(installation, _codes(installation, tenant), report)

    done = with_installation(work, data_dir)
    if json:
        print_json({"data": done})
        return
    for one in done:
        finished = " (begun before, and finished now)" if one.resumed else ""
        sys.stdout.write(
            f"{one.tenant}: key {one.number}{finished}; sealed anew: the secrets of {one.settings} "
            f"plugins, the keys of {one.people} people.\n"
        )
    if not done:
        sys.stdout.write("There is no data key yet: nothing is sealed.\n")


@app.command(epilog=examples("pss keys rewrap", "pss keys rewrap --new-master"))
def rewrap(
    new_master: Annotated[
        bool,
        typer.Option("--new-master", help="First add a new master key to the key file."),
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Put every tenant's data keys under the current master key; then earlier ones can go."""

    async def work(installation: Installation) -> dict[str, Any]:
        masters = installation.keyring.masters
        if new_master:
            masters.add()
        async with installation.database.owner() as owner:
            signing = await rewrap_signing_keys(owner, masters)
        tenants = list(installation.directory)
        count: Counter[str] = Counter()
        with progress_bars() as report:
            for place, one in enumerate(tenants):
                report("tenants", place, len(tenants))
                count[one.code] += await rewrap_tenant(installation, one.code)
        await installation.directory.refresh()
        return {
            "master": masters.current,
            "rewrapped": count.total(),
            "tenants": sum(1 for number in count.values() if number),
            "signing_keys": signing,
        }

    done = with_installation(work, data_dir)
    if json:
        print_json(done)
        return
    sys.stdout.write(
        f"{done['rewrapped']} keys of {done['tenants']} tenants and {done['signing_keys']} signing "
        f"keys are now under {done['master']}.\n"
    )


@app.command("erase-person", epilog=examples("pss keys erase-person pax_01h… --tenant aurelis"))
def erase_person(
    subject: Annotated[str, typer.Argument(help="The person's id, as the plugin knows it.")],
    tenant: Annotated[str, typer.Option(help="The tenant's code.")],
    yes: _Yes = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a person's personal data unreadable for good."""
    _confirm(f"Erase the personal data of {subject}? Nothing brings it back.", yes=yes)

    async def work(installation: Installation) -> list[str]:
        found = installation.directory.by_code(tenant)
        async with installation.unit_of_work(found) as uow:
            if not await uow.hot("SELECT 1 FROM person_key WHERE subject = $1", subject):
                raise NotFound(
                    f"{tenant} keeps no personal data of a {subject!r}; nothing was erased.",
                    code="no-such-person",
                    mend="Give the id that the plugin has for the person, and the right tenant.",
                )
            return await uow.erase_persons(subject)

    erased = with_installation(work, data_dir)
    if json:
        print_json({"tenant": tenant, "erased": erased})
    else:
        sys.stdout.write(f"{subject} {'is erased' if erased else 'was erased before'}.\n")


@app.command("erase-tenant", epilog=examples("pss keys erase-tenant heron --yes"))
def erase_tenant(
    code: Annotated[str, typer.Argument(help="The tenant's code.")],
    yes: _Yes = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make all secrets and personal data of a tenant unreadable for good."""
    _confirm(f"Erase the keys of {code}? Its secrets and its people's data are lost.", yes=yes)

    async def work(installation: Installation) -> int:
        found = installation.directory.by_code(code)
        return await erase_tenant_keys(installation, found.code)

    erased = with_installation(work, data_dir)
    if json:
        print_json({"tenant": code, "erased": erased})
    else:
        sys.stdout.write(f"{erased} keys of {code} are erased.\n")


def _one_or_all(tenant: str | None, *, every: bool) -> None:
    if (tenant is None) != every:
        raise Invalid(
            "Of which tenants?", code="which-tenants", mend="Give --tenant CODE, or --all."
        )


def _codes(installation: Installation, tenant: str | None) -> list[str]:
    if tenant is not None:
        return [installation.directory.by_code(tenant).code]
    return [one.code for one in installation.directory]


def _confirm(question: str, *, yes: bool) -> None:
    if not yes and not typer.confirm(question):
        raise Invalid("Nothing was erased.", code="not-confirmed", mend="Give --yes.")
