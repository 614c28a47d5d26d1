"""What people type for a setting and its value, understood by the setting's type."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
from msgspec import inspect as mi

from pss_kernel.cli._context import installed_plugins
from pss_kernel.errors import Invalid
from pss_kernel.keys._secret import Secret
from pss_kernel.tenancy._secret_settings import SEALED, with_secrets

__all__ = ["clear_secrets", "parsed", "setting_path", "settings_of", "type_at"]


def setting_path(key: str) -> tuple[str, list[str]]:
    """Plugin and path of a setting. Raises Invalid."""
    plugin, _, rest = key.partition(".")
    path = rest.split(".")
    if not plugin or not all(path):
        raise Invalid(
            f"{key!r} names no setting.",
            code="unknown-setting",
            mend="Write PLUGIN.SETTING, for example reservation.hold_minutes.",
        )
    return plugin, path


def settings_of(plugin: str) -> type[msgspec.Struct]:
    """The type of a plugin's settings."""
    return installed_plugins()[plugin].settings


def type_at(kind: type[msgspec.Struct], path: list[str]) -> mi.Type:
    """The type of a setting, or of what is inside. Raises Invalid for one that isn't there."""
    here: mi.Type = mi.type_info(kind)
    for place, name in enumerate(path):
        here = _bare(here)
        if isinstance(here, mi.StructType):
            fields = {field.encode_name: field.type for field in here.fields}
            if name not in fields:
                raise Invalid(
                    f"There is no setting {'.'.join(path[: place + 1])!r} here.",
                    code="unknown-setting",
                    mend=f"Known are: {', '.join(sorted(fields)) or '(none)'}.",
                )
            here = fields[name]
        elif isinstance(here, mi.DictType):
            here = here.value_type
        else:
            raise Invalid(
                f"{'.'.join(path[:place])!r} is no table.",
                code="unknown-setting",
                mend="Set it as a whole.",
            )
    return _bare(here)


def _bare(info: mi.Type) -> mi.Type:
    """Without constraints, and without the None that it may be instead."""
    if isinstance(info, mi.Metadata):
        return _bare(info.type)
    if isinstance(info, mi.UnionType):
        kinds = [one for one in info.types if not isinstance(one, mi.NoneType)]
        return _bare(kinds[0]) if len(kinds) == 1 else info
    return info


def parsed(text: str, info: mi.Type) -> Any:
    """Text for what is text; for everything else a value of TOML, where it is one."""
    if isinstance(info, mi.StrType) or (isinstance(info, mi.CustomType) and info.cls is Secret):
        return text
    try:
        value = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if value.keys() != {"value"}:
        return text
    found = msgspec.to_builtins(value["value"])  # TOML has dates of its own
    if SEALED in text:
        raise Invalid(f"A value can't have {SEALED!r} in it.", code="invalid-settings")
    return found


def clear_secrets(settings: dict[str, Any], kind: type[msgspec.Struct]) -> set[tuple[str, str]]:
    """Where secrets stand in clear, and what they are."""
    found: set[tuple[str, str]] = set()

    def look(pointer: str, value: Any) -> Any:
        if isinstance(value, str):
            found.add((pointer, value))
        return value

    with_secrets(settings, kind, look)
    return found
