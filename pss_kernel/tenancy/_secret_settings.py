"""The secrets among a plugin's settings: found by the settings' types, sealed where they are kept.

In the ledger a secret is ``{"$sealed": "…"}``. It is bound to tenant, plugin and place, so that it
opens nowhere else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect as mi

from pss_kernel.errors import FieldError, Problem
from pss_kernel.keys._data_keys import DataKeys
from pss_kernel.keys._secret import MASK, Secret
from pss_kernel.validation import explain

__all__ = [
    "SEALED",
    "carried_over",
    "comparable",
    "has_secrets",
    "masked",
    "open_settings",
    "reseal",
    "seal_settings",
    "secret_fields",
    "setting_errors",
    "with_secrets",
]

SEALED = "$sealed"
_ARRAYS = (mi.ListType, mi.VarTupleType, mi.SetType, mi.FrozenSetType, mi.CollectionType)
Change = Callable[[str, Any], Any]
"""Given the JSON pointer of a secret and what stands there; gives what shall stand there."""


def with_secrets(settings: dict[str, Any], kind: type[msgspec.Struct], change: Change) -> Any:
    """A copy of settings with each secret changed, wherever the type has one."""
    return _walk(settings, _info(kind), "", change) if has_secrets(kind) else settings


@cache
def has_secrets(kind: type[msgspec.Struct]) -> bool:
    """Whether there is a secret anywhere in the type."""
    return any(secret_fields(kind))


def secret_fields(kind: type[msgspec.Struct]) -> Iterator[str]:
    """The names of the settings that are secrets, or have some inside."""
    info = _info(kind)
    assert isinstance(info, mi.StructType)
    return (field.encode_name for field in info.fields if _contains(field.type, frozenset()))


def masked(settings: Any) -> Any:
    """A copy with asterisks for what is sealed; for people, whether the plugin is here or not."""
    if isinstance(settings, dict):
        if SEALED in settings:
            return MASK
        return {name: masked(value) for name, value in settings.items()}
    if isinstance(settings, list):
        return [masked(value) for value in settings]
    return MASK if isinstance(settings, Secret) else settings


def open_settings(
    settings: dict[str, Any],
    kind: type[msgspec.Struct],
    plugin: str,
    keys: Callable[[], DataKeys],
) -> dict[str, Any]:
    """Settings as stored, ready to be decoded: secrets open when they are revealed, not before."""

    def opened(pointer: str, value: Any) -> Any:
        sealed = _sealed(value)
        if sealed is None:
            return value
        return Secret.opened_by(
            lambda: keys().unseal(sealed, "setting", f"{plugin}{pointer}").decode()
        )

    found: dict[str, Any] = with_secrets(settings, kind, opened)
    return found


def setting_errors(
    settings: dict[str, Any], kind: type[msgspec.Struct], *, pointer: str = ""
) -> list[FieldError]:
    """All that is wrong with settings, as stored or as given."""

    def present(_pointer: str, value: Any) -> Any:
        return Secret(MASK) if _sealed(value) is not None else value

    return explain(with_secrets(settings, kind, present), kind, pointer=pointer)


def seal_settings(
    settings: dict[str, Any],
    kind: type[msgspec.Struct],
    plugin: str,
    keys: DataKeys,
    stored: dict[str, Any],
) -> dict[str, Any]:
    """Settings as they are stored; a secret that stays as it was keeps its ciphertext."""
    before: dict[str, Any] = {}
    with_secrets(stored, kind, before.setdefault)

    def sealed(pointer: str, value: Any) -> Any:
        if not isinstance(value, str | Secret):
            return value
        clear = _clear(value)
        where = ("setting", f"{plugin}{pointer}")
        earlier = _sealed(before.get(pointer))
        if earlier is not None and _opens_to(keys, earlier, where, clear):
            return before[pointer]
        return _stored(keys.seal(clear.encode(), *where))

    found: dict[str, Any] = with_secrets(settings, kind, sealed)
    return found


def comparable(
    wanted: dict[str, Any],
    stored: dict[str, Any],
    kind: type[msgspec.Struct],
    plugin: str,
    keys: Callable[[], DataKeys],
) -> dict[str, Any]:
    """What is wanted as it would be stored; a secret that would change is ``***`` there."""
    if not has_secrets(kind):
        return wanted
    before: dict[str, Any] = {}
    with_secrets(stored, kind, before.setdefault)

    def compared(pointer: str, value: Any) -> Any:
        if not isinstance(value, str | Secret):
            return value
        earlier = _sealed(before.get(pointer))
        where = ("setting", f"{plugin}{pointer}")
        same = earlier is not None and _opens_to(keys(), earlier, where, _clear(value))
        return before[pointer] if same else MASK

    found: dict[str, Any] = with_secrets(carried_over(stored, wanted, kind), kind, compared)
    return found


def reseal(
    settings: dict[str, Any], kind: type[msgspec.Struct], plugin: str, keys: DataKeys
) -> dict[str, Any]:
    """The same settings, every secret sealed with the current key; also one that stood clear."""

    def changed(pointer: str, value: Any) -> Any:
        where = ("setting", f"{plugin}{pointer}")
        sealed = _sealed(value)
        clear = _clear(value).encode() if sealed is None else keys.unseal(sealed, *where)
        return _stored(keys.seal(clear, *where))

    found: dict[str, Any] = with_secrets(settings, kind, changed)
    return found


def carried_over(
    stored: dict[str, Any], wanted: dict[str, Any], kind: type[msgspec.Struct]
) -> dict[str, Any]:
    """What is wanted, and the secrets that are stored where it says nothing of them.

    Not those within lists: there a place tells nothing of what it is a place of.
    """
    carried: dict[str, Any] = _carried(stored, wanted, _info(kind))
    return carried


def _carried(stored: Any, wanted: Any, info: mi.Type) -> Any:
    if not isinstance(stored, dict) or not isinstance(wanted, dict):
        return wanted
    carried = dict(wanted)
    for name, part in _parts(info, wanted, stored):
        if not _contains(part, frozenset()):
            continue
        if name in wanted:
            carried[name] = _carried(stored.get(name), wanted[name], part)
        elif _sealed(stored.get(name)) is not None:
            carried[name] = stored[name]
    return carried


def _parts(
    info: mi.Type, value: dict[str, Any], stored: dict[str, Any]
) -> Iterator[tuple[str, mi.Type]]:
    """The named parts of an object and their types."""
    if isinstance(info, mi.Metadata):
        yield from _parts(info.type, value, stored)
    elif isinstance(info, mi.StructType):
        yield from ((field.encode_name, field.type) for field in info.fields)
    elif isinstance(info, mi.DictType):
        yield from ((name, info.value_type) for name in value)
    elif isinstance(info, mi.UnionType):
        yield from _parts(_choice(info, value), value, stored)


@cache
def _info(kind: type[msgspec.Struct]) -> mi.Type:
    return mi.type_info(kind)


def _is_secret(info: mi.Type) -> bool:
    return isinstance(info, mi.CustomType) and info.cls is Secret


def _contains(info: mi.Type, seen: frozenset[type]) -> bool:
    """Whether a type is a secret or has one inside; ``seen`` are those that it is inside of."""
    inside: Iterable[mi.Type] = ()
    if isinstance(info, mi.Metadata):
        inside = (info.type,)
    elif isinstance(info, mi.StructType) and info.cls not in seen:
        inside = (field.type for field in info.fields)
        seen |= {info.cls}
    elif isinstance(info, mi.DictType):
        inside = (info.value_type,)
    elif isinstance(info, _ARRAYS):
        inside = (info.item_type,)
    elif isinstance(info, mi.TupleType):
        inside = info.item_types
    elif isinstance(info, mi.UnionType):
        inside = info.types
    return _is_secret(info) or any(_contains(one, seen) for one in inside)


def _walk(value: Any, info: mi.Type, pointer: str, change: Change) -> Any:
    if isinstance(info, mi.Metadata):
        info = info.type
    if isinstance(info, mi.UnionType):
        info = _choice(info, value)
    if _is_secret(info):
        return value if value is None else change(pointer, value)
    if isinstance(value, dict):
        parts = dict(_parts(info, value, value))
        return {
            name: _walk(one, parts[name], f"{pointer}/{name}", change) if name in parts else one
            for name, one in value.items()
        }
    if isinstance(value, list) and isinstance(info, _ARRAYS):
        return [
            _walk(one, info.item_type, f"{pointer}/{place}", change)
            for place, one in enumerate(value)
        ]
    if isinstance(value, list) and isinstance(info, mi.TupleType):
        return [
            _walk(one, part, f"{pointer}/{place}", change)
            for place, (one, part) in enumerate(zip(value, info.item_types, strict=False))
        ]
    return value


def _choice(info: mi.UnionType, value: Any) -> mi.Type:
    """The member of a union that a value is of; its secret one, where only that can be."""
    structs = [one for one in info.types if isinstance(one, mi.StructType)]
    if isinstance(value, dict) and structs and _sealed(value) is None:
        tagged = [one for one in structs if one.tag_field and value.get(one.tag_field) == one.tag]
        return (tagged or structs)[0]
    for one in info.types:
        if (isinstance(value, list) and isinstance(one, (*_ARRAYS, mi.TupleType))) or (
            isinstance(value, dict) and isinstance(one, mi.DictType) and _sealed(value) is None
        ):
            return one
    return next((one for one in info.types if _is_secret(one)), mi.AnyType())


def _sealed(value: Any) -> bytes | None:
    """The sealed value, where that is what stands there."""
    if not isinstance(value, dict) or value.keys() != {SEALED}:
        return None
    try:
        return base64.b64decode(value[SEALED], validate=True)
    except (binascii.Error, TypeError, ValueError):
        return b""  # sealed once, and altered since


def _stored(sealed: bytes) -> dict[str, str]:
    return {SEALED: base64.b64encode(sealed).decode()}


def _clear(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _opens_to(keys: DataKeys, sealed: bytes, where: tuple[str, ...], clear: str) -> bool:
    current = keys.current
    try:
        return current is not None and keys.unseal(sealed, *where) == clear.encode()
    except Problem:  # it can't be read any more, so it is not the same
        return False
