"""Settings that nobody else has, and all texts in the settings of a tenant."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect as mi

from pss_kernel.errors import Problem
from pss_kernel.installation import Installation
from pss_kernel.keys import Secret
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._secret_settings import setting_errors
from pss_kernel.testing._kit import TestKit
from pss_kernel.testing.conformance._canaries import NO_SECRET

__all__ = ["canary_settings", "make_tenants", "setting_texts"]

_ARRAYS = (mi.ListType, mi.VarTupleType, mi.SetType, mi.FrozenSetType, mi.CollectionType)
_DEEPEST = 5


async def make_tenants(
    kit: TestKit, plugin: str, given: Mapping[str, Mapping[str, Any]]
) -> tuple[Tenant, Tenant]:
    """Two tenants with settings that nobody else has."""
    registry = kit.installation.registry
    first, second = [
        await kit.make_tenant(
            settings={
                name: canary_settings(registry[name].settings, given.get(name, {}))
                for name in registry.closure([plugin])
            }
        )
        for _ in range(2)
    ]
    return first, second


def canary_settings(
    kind: type[msgspec.Struct], given: Mapping[str, Any], depth: int = 0
) -> dict[str, Any]:
    """What is given, and a canary in each other setting whose type takes one, secrets too."""
    made = dict(given)
    info = mi.type_info(kind)
    assert isinstance(info, mi.StructType)
    for field in info.fields:
        name = field.encode_name
        if name in made:
            continue
        value = _value(field.type, depth)
        if value is None:
            continue
        errors = setting_errors({**made, name: value}, kind)
        # Others that are required and missing are somebody else's.
        if not any(f"{one.pointer}/".startswith(f"/{name}/") for one in errors):
            made[name] = value
    return made


def _value(info: mi.Type, depth: int) -> Any:
    """A canary as this type has it; None where it has none."""
    canary = f"cnry{secrets.token_hex(6)}"
    made: Any = None
    if isinstance(info, mi.Metadata):
        made = _value(info.type, depth)
    elif isinstance(info, mi.StrType) or (isinstance(info, mi.CustomType) and info.cls is Secret):
        made = canary
    elif isinstance(info, mi.UnionType):
        inside = (_value(one, depth) for one in info.types)
        made = next((one for one in inside if one is not None), None)
    elif depth >= _DEEPEST:
        made = None
    elif isinstance(info, mi.StructType):
        made = canary_settings(info.cls, {}, depth + 1) or None
    elif isinstance(info, mi.DictType):
        value = _value(info.value_type, depth + 1)
        made = None if value is None else {canary: value}
    elif isinstance(info, _ARRAYS):
        value = _value(info.item_type, depth + 1)
        made = None if value is None else [value]
    return made


def setting_texts(
    installation: Installation, tenant: Tenant, plugins: Iterable[str]
) -> dict[str, str]:
    """All texts in a tenant's settings, secrets opened, with where they stand."""
    found: dict[str, str] = {}
    for plugin in plugins:
        kind = installation.registry[plugin].settings
        values = msgspec.to_builtins(installation.settings_of(tenant, kind), enc_hook=_revealed)
        for name, value in values.items():
            for text in _texts(value):
                found.setdefault(text, f"setting {plugin}.{name}")
    return found


def _revealed(value: Any) -> Any:
    if not isinstance(value, Secret):
        return repr(value)
    try:
        return value.reveal()
    except Problem:  # its key is gone
        return ""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and not NO_SECRET.fullmatch(value):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(name)
            yield from _texts(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _texts(each)
