"""Reading ``tenant.toml``: every error at once, each with its line and how to mend it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from pss_kernel.config import CONTROL_CELL, PLATFORM
from pss_kernel.errors import FieldError, Invalid
from pss_kernel.identity.roles.grants import RoleBody, RoleName, role_errors
from pss_kernel.money import exponent
from pss_kernel.plugin import FileFinding
from pss_kernel.registry import Registry
from pss_kernel.tenancy._brand import brand_errors, with_logo
from pss_kernel.tenancy._references import with_references
from pss_kernel.tenancy._twins import is_twin_code
from pss_kernel.validation import explain

__all__ = ["InvalidTenant", "TenantDefinition", "TenantTable", "load_tenant", "tenant_errors"]

_MENDS = {
    "invalid": "Correct this value.",
    "required": "Add it to this table.",
    "unknown-field": "Correct its spelling, or remove it.",
    "too-few": "Add what is missing.",
    "too-many": "Remove some.",
    "secret-in-file": 'Write { env = "NAME" } or { file = "path" }, or leave it out and use '
    "'pss settings set'.",
    "reserved-name": "Rename its table.",
    "unknown-permission": "Correct its spelling; docs/permissions.md lists every permission.",
    "unknown-rule": "Correct the rule, or remove it.",
    "invalid-amount": 'Write an amount and its currency: "500.00 EUR".',
    "unknown-currency": 'Write an amount and its currency: "500.00 EUR".',
    "rule-without-permission": "Add the permission to the role, or remove the rule.",
    "no-such-secret": "Set it for this command, or leave the line out: what is stored stays.",
}
# What a pattern means, in words.
_FORMS = {
    "/tenant/code": "A code begins with a letter and has 2 to 41 of a-z, 0-9 and '_'.",
    "/tenant/currency": "A currency is three capital letters.",
}
_HOST = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z"


class InvalidTenant(Invalid):
    """A tenant's folder has errors; ``findings`` are all of them."""

    code, title = "invalid-tenant", "The tenant's files have errors"

    def __init__(self, findings: list[FileFinding]) -> None:
        self.findings = findings
        super().__init__(
            "\n".join(str(one) for one in findings),
            errors=[
                FieldError(pointer=f"{one.path}:{one.line or 1}", detail=one.message)
                for one in findings
            ],
        )


class TenantTable(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The table ``[tenant]`` of the file; an import is held against it as well."""

    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{1,40}\Z")]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
    time_zone: str
    locales: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["en"]
    )
    domains: list[Annotated[str, msgspec.Meta(pattern=_HOST)]] = []
    cell: str = CONTROL_CELL
    strict_plugins: bool = False


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    tenant: TenantTable
    brand: dict[str, str] = {}
    plugins: dict[str, dict[str, Any]] = {}
    roles: dict[RoleName, RoleBody] = {}


class TenantDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as its folder describes it; ``plugins`` maps names to settings."""

    folder: Path
    code: str
    name: str
    currency: str
    time_zone: str
    locales: list[str]
    domains: list[str]
    cell: str
    strict_plugins: bool
    test_of: str | None = None
    """The code of the tenant that this is to be the test data of."""
    brand: dict[str, str]
    plugins: dict[str, dict[str, Any]]
    roles: dict[str, RoleBody] = {}


def load_tenant(folder: Path, registry: Registry) -> TenantDefinition:
    """Read and check a tenant's ``tenant.toml``; the files of plugins are checked when planned.

    Raises InvalidTenant with every error, Invalid where there is no ``tenant.toml``.
    """
    path = folder / "tenant.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Invalid(
            f"There is no readable {path}.",
            code="no-tenant-file",
            mend="Give the folder of a tenant, for example tenants/aurelis.",
        ) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not UTF-8 text.", code="no-tenant-file") from error
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidTenant([_syntax_finding(path, error)]) from error
    findings = list(_findings(path, text, value, registry))
    if findings:
        raise InvalidTenant(findings)
    file = msgspec.convert(value, _File)
    plugins = msgspec.to_builtins(file.plugins)  # as they are stored: TOML has dates of its own
    return TenantDefinition(
        folder=folder,
        brand=with_logo(folder, file.brand),
        plugins={
            name: with_references(settings, registry[name].settings, folder)[0]
            for name, settings in plugins.items()
        },
        roles=file.roles,
        **msgspec.structs.asdict(file.tenant),
    )


def _syntax_finding(path: Path, error: tomllib.TOMLDecodeError) -> FileFinding:
    match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    return FileFinding(
        path=path,
        line=int(match[1]) if match else None,
        column=int(match[2]) if match else None,
        message=str(error).partition(" (at ")[0] + ".",
        mend="Correct the TOML here.",
    )


def _findings(path: Path, text: str, value: Any, registry: Registry) -> Iterator[FileFinding]:
    lines = line_numbers(text)

    def found(error: FieldError, mend: str = "") -> FileFinding:
        return FileFinding(
            path=path,
            line=_nearest(lines, error.pointer),
            message=f"{error.pointer.lstrip('/').replace('/', '.')}: {error.detail}",
            mend=mend,
        )

    for error in explain(value, _File):
        form = _FORMS.get(error.pointer) if error.code == "invalid" else None
        said = msgspec.structs.replace(error, detail=form) if form else error
        yield found(said, _MENDS.get(error.code, ""))
    tenant = value.get("tenant") if isinstance(value.get("tenant"), dict) else {}
    yield from (found(error, mend) for error, mend in tenant_errors(tenant))
    yield from (found(error) for error in brand_errors(path.parent, value.get("brand")))
    yield from (found(error, mend) for error, mend in _role_errors(value, registry))
    plugins = value.get("plugins")
    for name, settings in plugins.items() if isinstance(plugins, dict) else ():
        pointer = f"/plugins/{name}"
        if name not in registry.plugins:
            yield found(*_not_usable(pointer, name, registry))
        elif isinstance(settings, dict):
            kind = registry[name].settings
            given, errors = with_references(settings, kind, path.parent, pointer=pointer)
            for error in (*errors, *explain(given, kind, pointer=pointer)):
                yield found(error, _MENDS.get(error.code, ""))
            for needed in registry.closure([name]):
                if needed != name and needed not in plugins:
                    detail = f"It requires the plugin {needed!r}, which this file does not enable."
                    yield found(
                        FieldError(pointer=pointer, detail=detail), f"Add [plugins.{needed}]."
                    )


def tenant_errors(tenant: dict[str, Any]) -> Iterator[tuple[FieldError, str]]:
    """What the types can't say."""
    code, currency, zone = tenant.get("code"), tenant.get("currency"), tenant.get("time_zone")
    if code == PLATFORM:
        detail = f"{PLATFORM!r} is kept for the operators of the installation."
        yield FieldError(pointer="/tenant/code", detail=detail), "Choose another code."
    if isinstance(code, str) and is_twin_code(code):
        detail = f"{code!r} is kept for test data: no tenant of its own has such a code."
        yield FieldError(pointer="/tenant/code", detail=detail), "Choose a code without '_test'."
    if isinstance(currency, str):
        try:
            exponent(currency)
        except Invalid as error:
            yield FieldError(pointer="/tenant/currency", detail=error.detail), "Use EUR, JPY, …"
    if isinstance(zone, str):
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            detail = f"{zone!r} is not a time zone of the IANA database."
            yield FieldError(pointer="/tenant/time_zone", detail=detail), "Use Europe/Vienna, …"


def _role_errors(value: dict[str, Any], registry: Registry) -> Iterator[tuple[FieldError, str]]:
    """What is wrong with roles whose form is right."""
    tenant, roles = value.get("tenant"), value.get("roles")
    code = tenant.get("code") if isinstance(tenant, dict) else None
    for name, said in roles.items() if isinstance(roles, dict) else ():
        try:
            body = msgspec.convert(said, RoleBody)
        except msgspec.ValidationError:  # told already
            continue
        for error in role_errors(registry, str(code), name, body, pointer=f"/roles/{name}"):
            yield error, _MENDS.get(error.code, "")


def _not_usable(pointer: str, name: str, registry: Registry) -> tuple[FieldError, str]:
    for broken in registry.broken:
        if broken.name == name:
            detail = f"The plugin can't be used. {broken.reason}"
            return FieldError(pointer=pointer, detail=detail), broken.mend
    detail = f"The plugin {name!r} is not installed."
    return (
        FieldError(pointer=pointer, detail=detail),
        f"Installed are: {', '.join(registry.plugins)}.",
    )


def line_numbers(text: str) -> dict[str, int]:
    """The line on which each table and key of a TOML document begins, by JSON pointer."""
    lines: dict[str, int] = {}
    table = ""
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[\[?)([^\[\]]+)\]", line)
        if header:
            table = "/" + "/".join(part.strip(" \t\"'") for part in header[2].split("."))
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}/{counts[table]}"
            lines.setdefault(table, number)
            continue
        key = re.match(r"\s*([A-Za-z0-9_\-.:\"']+)\s*=", line)
        if key:
            pointer = "/".join(part.strip(" \"'") for part in key[1].split("."))
            lines.setdefault(f"{table}/{pointer}", number)
    return lines


def _nearest(lines: dict[str, int], pointer: str) -> int:
    """The line of the pointer, or of what it stands in."""
    while pointer:
        if pointer in lines:
            return lines[pointer]
        pointer = pointer.rpartition("/")[0]
    return 1
