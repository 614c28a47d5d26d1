"""Whether what an export says can be believed, before anything of it is loaded.

Digests tell of accidents. They say nothing of somebody who has changed a file and counted anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pss_kernel.errors import FieldError, Invalid
from pss_kernel.leaving._export import exported_tables
from pss_kernel.tenancy._brand import brand_errors
from pss_kernel.tenancy._file import TenantTable, tenant_errors
from pss_kernel.tenancy._secret_settings import setting_errors
from pss_kernel.tenancy._twins import is_twin_code, live_code
from pss_kernel.validation import explain

if TYPE_CHECKING:
    from pss_kernel.leaving._format import Manifest, TableFile
    from pss_kernel.registry import Registry

__all__ = ["check_contents", "check_tables", "loadable", "readable"]

_LOGO = re.compile(r"data:image/(svg\+xml|png);base64,[A-Za-z0-9+/]{0,133336}={0,2}")
_MOST_SAID = 20
_UNREADABLE = (msgspec.MsgspecError, RecursionError, KeyError, TypeError, ValueError)
_UNLOADABLE = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.SyntaxOrAccessError,
)


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Rows that are not as the format says become a sentence. Raises Invalid."""
    try:
        yield
    except _UNREADABLE as error:
        raise _damaged(f"{what} can't be read: {_said(error)}.") from error


@contextmanager
def loadable() -> Iterator[None]:
    """Rows that PostgreSQL refuses become a sentence. Raises Invalid."""
    try:
        yield
    except _UNLOADABLE as error:
        raise _damaged(f"Its rows can't be loaded: {_said(error)}.") from error


async def check_tables(owner: asyncpg.Connection, manifest: Manifest) -> None:
    """Raises Invalid where the control tables are not those that an export writes.

    One that is not known at all is left to the loading: a newer version has written it.
    """
    names = [one.name for one in manifest.control]
    ours = {
        row["name"]
        for row in await owner.fetch(
            "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'pss'"
        )
    } - (await exported_tables(owner)).keys()
    wrong = sorted({one for one in names if one in ours or names.count(one) > 1})
    if wrong:
        raise Invalid(
            f"No export has these rows, or has them twice: {', '.join(wrong)}.",
            code="not-an-export",
            mend="Export the tenant again; somebody has changed this one.",
        )
    if "tenant" not in names:
        raise _damaged("It has no file control/tenant.jsonl.")


def check_contents(
    registry: Registry, folder: Path, manifest: Manifest, code: str, domains: list[str]
) -> None:
    """The tenant and its settings, as ``pss tenant apply`` looks at them.

    Raises Invalid with all that is wrong.
    """
    control = {one.name: one for one in manifest.control}
    rows = list(_rows(folder, control["tenant"]))
    if len(rows) != 1:
        raise _damaged(f"{control['tenant'].file} has {len(rows)} tenants.")
    with readable(control["tenant"].file):
        errors = list(_identity_errors(folder, rows[0], code, domains))
    if "tenant_plugin" in control:
        one = control["tenant_plugin"]
        for row in _rows(folder, one):
            with readable(one.file):
                errors += _settings_errors(registry, row)
    if errors:
        said = " ".join(
            f"{error.pointer.lstrip('/').replace('/', '.')}: {error.detail}"
            for error in errors[:_MOST_SAID]
        )
        raise Invalid(
            f"The export can't be loaded: {said}",
            code="export-invalid",
            mend="Correct this where it was exported, and export it again.",
            errors=errors,
        )


def _identity_errors(
    folder: Path, row: dict[str, Any], code: str, domains: list[str]
) -> Iterator[FieldError]:
    tenant = {
        "code": code,
        "domains": domains,
        **{name: row[name] for name in ("name", "currency", "time_zone", "locales")},
        "strict_plugins": row.get("strict_plugins", False),
    }
    yield from explain(tenant, TenantTable, pointer="/tenant")
    if row.get("test_of") is not None:
        if not is_twin_code(code) or domains:
            detail = "Test data has a code that ends in '_test', and no host names."
            yield FieldError(pointer="/tenant/code", detail=detail)
        tenant["code"] = live_code(code)
    yield from (error for error, _mend in tenant_errors(tenant))
    brand = msgspec.json.decode(row.get("brand", "{}"))
    yield from explain(brand, dict[str, str], pointer="/brand")
    if not isinstance(brand, dict):
        return
    logo = brand.pop("logo", None)
    yield from brand_errors(folder, brand)
    if isinstance(logo, str) and not _LOGO.fullmatch(logo):
        detail = "A logo is an SVG or PNG image of at most 100 kB, as a data: URI."
        yield FieldError(pointer="/brand/logo", detail=detail)


def _settings_errors(registry: Registry, row: dict[str, Any]) -> list[FieldError]:
    name, settings = str(row["plugin"]), msgspec.json.decode(row["settings"])
    pointer = f"/plugins/{name}"
    if not isinstance(settings, dict):
        return [FieldError(pointer=pointer, detail="Settings are an object.")]
    if name not in registry.plugins:
        return []
    return setting_errors(settings, registry[name].settings, pointer=pointer)


def _rows(folder: Path, one: TableFile) -> Iterator[dict[str, Any]]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with (folder / one.file).open("rb") as file:
        for line in file:
            with readable(one.file):
                row = decode(line)
            yield row


def _said(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"a row has no {error}"
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]


def _damaged(why: str) -> Invalid:
    return Invalid(
        f"The export is not whole: {why}", code="export-damaged", mend="Export the tenant again."
    )
