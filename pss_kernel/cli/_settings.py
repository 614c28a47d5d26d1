"""``pss settings``: a tenant's settings of its plugins, and who has changed them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.cli._setting_values import clear_secrets, parsed, setting_path, settings_of, type_at
from pss_kernel.errors import Invalid, Problem
from pss_kernel.installation import Installation
from pss_kernel.keys._secret import MASK
from pss_kernel.tenancy._secret_settings import masked, secret_fields, with_secrets
from pss_kernel.tenancy._settings import (
    SettingChange,
    change_settings,
    put,
    setting_history,
    take_out,
)

__all__ = ["app"]

app = typer.Typer(help="A tenant's settings of its plugins.", no_args_is_help=True)
_Tenant = Annotated[str, typer.Option(help="The tenant's code.")]
_Plugin = Annotated[str | None, typer.Option(help="Only this plugin's.")]
_Key = Annotated[
    str, typer.Argument(help="PLUGIN.SETTING, and .NAME for each table further inside.")
]
_MOST = 65_536  # characters of a value


@app.command(epilog=examples("pss settings show --tenant aurelis --plugin reservation"))
def show(
    tenant: _Tenant, plugin: _Plugin = None, data_dir: DataDir = None, json: Json = False
) -> None:
    """All settings with their values, defaults included; secrets as three asterisks."""

    async def work(installation: Installation) -> list[dict[str, Any]]:
        found = installation.directory.by_code(tenant)
        plugins = installation.registry.plugins
        rows: list[dict[str, Any]] = []
        for name in [plugin] if plugin else [one for one in plugins if one in found.plugins]:
            state = found.plugins.get(name)
            stored = state.settings if state else {}
            rows += _rows(name, installation.registry[name].settings, stored)
        return rows

    rows = with_installation(work, data_dir)
    if json:
        print_json({"data": rows})
        return
    columns = ["setting", "value", "from"]
    print_table(
        columns,
        [[f"{row['plugin']}.{row['setting']}", _shown(row["value"]), row["from"]] for row in rows],
    )


def _rows(name: str, kind: type[msgspec.Struct], stored: dict[str, Any]) -> list[dict[str, Any]]:
    secret = set(secret_fields(kind))
    safe = masked(with_secrets(stored, kind, lambda _pointer, _value: MASK))
    rows = []
    for field in msgspec.structs.fields(kind):
        given = field.encode_name in safe
        default = None if given else _default(field)
        rows.append(
            {
                "plugin": name,
                "setting": field.encode_name,
                "value": safe[field.encode_name] if given else masked(default),
                "from": "set" if given else "default",
                "secret": field.encode_name in secret,
            }
        )
    return rows


def _default(field: Any) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.to_builtins(field.default_factory(), enc_hook=lambda _: MASK)
    return msgspec.to_builtins(field.default, enc_hook=lambda _: MASK)


@app.command(
    "set",
    epilog=examples(
        "pss settings set reservation.hold_minutes 720 --tenant aurelis",
        "pss settings set payment.gateway_token --tenant aurelis < token.txt",
        "pss settings set payment.gateway_token --tenant aurelis --from-file token.txt",
    ),
)
def set_(
    key: _Key,
    tenant: _Tenant,
    value: Annotated[
        str | None, typer.Argument(help="The value, as in TOML; text without quotation marks too.")
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", help="A file that holds the value.")
    ] = None,
    in_clear: Annotated[
        bool, typer.Option("--in-clear", help="Take a secret from the command line after all.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Change a setting while the system runs; the whole of them is checked first.

    Without a value it is asked for, or read from standard input. A secret is not taken from the
    command line, which other users of the machine can see.
    """
    plugin, path = setting_path(key)
    kind = settings_of(plugin)
    given = value if value is not None else _read(key, from_file)
    wanted = parsed(given, type_at(kind, path))
    exposed = value is not None and not in_clear

    def change(stored: dict[str, Any]) -> dict[str, Any]:
        before = msgspec.json.encode(stored)
        changed = put(stored, path, wanted)
        if exposed and clear_secrets(changed, kind) - clear_secrets(
            msgspec.json.decode(before), kind
        ):
            raise Invalid(
                f"{key} is a secret, and other users of this machine can see a command line.",
                code="secret-on-command-line",
                mend="Leave the value out: it is asked for, or read from standard input.",
            )
        return changed

    _change(key, tenant, change, data_dir, json=json)


@app.command(epilog=examples("pss settings unset reservation.hold_minutes --tenant aurelis"))
def unset(key: _Key, tenant: _Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """Take a setting back: its default holds again."""
    plugin, path = setting_path(key)
    type_at(settings_of(plugin), path)
    _change(key, tenant, lambda stored: take_out(stored, path), data_dir, json=json)


@app.command(
    epilog=examples(
        "pss settings history --tenant aurelis",
        "pss settings history --tenant aurelis --plugin payment --limit 20 --json",
    )
)
def history(
    tenant: _Tenant,
    plugin: _Plugin = None,
    setting: Annotated[str | None, typer.Option(help="Only this setting's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Who has changed what, when and by which command; the latest first."""

    async def work(installation: Installation) -> list[SettingChange]:
        found = installation.directory.by_code(tenant)
        return await setting_history(
            installation, found, plugin=plugin, setting=setting, limit=limit
        )

    changes = with_installation(work, data_dir)
    if json:
        print_json({"data": changes})
        return
    print_table(
        ["when", "setting", "before", "after", "who", "by"],
        [
            [
                one.changed_at.astimezone(UTC).isoformat(timespec="seconds"),
                f"{one.plugin}.{one.setting}",
                _shown(one.before),
                _shown(one.after),
                one.actor,
                one.source,
            ]
            for one in changes
        ],
    )


def _change(
    key: str,
    tenant: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    data_dir: Path | None,
    *,
    json: bool,
) -> None:
    plugin, path = setting_path(key)

    async def work(installation: Installation) -> bool:
        found = installation.directory.by_code(tenant)
        return await change_settings(installation, found.code, plugin, change)

    try:
        changed = with_installation(work, data_dir)
    except Invalid as problem:
        raise _in_full(problem) from problem
    if json:
        print_json({"tenant": tenant, "setting": key, "changed": changed})
        return
    sys.stdout.write(f"{key} {'is changed' if changed else 'was so already'}.\n")
    if path[0] in secret_fields(settings_of(plugin)):
        sys.stderr.write("'pss tenant apply' leaves it, unless the tenant's file names another.\n")
    else:
        sys.stderr.write("The next 'pss tenant apply' sets what the tenant's file says.\n")


def _in_full(problem: Invalid) -> Problem:
    """With every error in the text, not the first only."""
    lines = [f"{one.pointer.lstrip('/').replace('/', '.')}: {one.detail}" for one in problem.errors]
    detail = "\n  ".join([problem.detail, *lines])
    return Invalid(detail, code=problem.code, errors=problem.errors, mend=problem.mend)


def _read(key: str, from_file: Path | None) -> str:
    if from_file is not None:
        try:
            with from_file.open(encoding="utf-8") as file:
                text = file.read(_MOST)
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"{from_file} can't be read.", code="unreadable-value") from error
    elif sys.stdin.isatty():
        text = typer.prompt(key, hide_input=True)
    else:
        text = sys.stdin.read(_MOST)
    return text.removesuffix("\n").removesuffix("\r")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
