"""Every failing field of a value at once, each with its pointer.

msgspec stops at the first error, which is right for speed. When it has refused a value, this
walks the same type again, slowly, and collects all that is wrong.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import inspect as mi

from pss_kernel.errors import FieldError

__all__ = ["explain"]


def explain(value: Any, kind: Any, *, pointer: str = "") -> list[FieldError]:
    """What is wrong with ``value`` (decoded JSON or TOML) as a ``kind``; empty when nothing is."""
    return list(_walk(value, mi.type_info(kind), kind, pointer))


def _walk(value: Any, info: mi.Type, kind: Any, pointer: str) -> Iterator[FieldError]:
    if isinstance(info, mi.StructType) and isinstance(value, dict):
        yield from _struct(value, info, pointer)
    elif isinstance(info, mi.ListType) and isinstance(value, list):
        yield from _items(value, info, pointer)
    elif isinstance(info, mi.DictType) and isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, info.value_type, None, f"{pointer}/{_escaped(str(key))}")
    elif isinstance(info, mi.UnionType):
        yield from _union(value, info, pointer)
    else:
        yield from _leaf(value, info, kind, pointer)


def _struct(value: dict[str, Any], info: mi.StructType, pointer: str) -> Iterator[FieldError]:
    found = False
    known = set()
    for field in info.fields:
        known.add(field.encode_name)
        place = f"{pointer}/{_escaped(field.encode_name)}"
        if field.encode_name in value:
            for error in _walk(value[field.encode_name], field.type, None, place):
                found = True
                yield error
        elif field.required:
            found = True
            yield FieldError(pointer=place, detail="This field is required.", code="required")
    if info.forbid_unknown_fields:
        for name in value.keys() - known:
            found = True
            yield FieldError(
                pointer=f"{pointer}/{_escaped(name)}",
                detail=f"There is no such field here. Known are: {', '.join(sorted(known))}.",
                code="unknown-field",
            )
    if not found:  # what the struct itself checks when it is made
        yield from _leaf(value, info, info.cls, pointer)


def _items(value: list[Any], info: mi.ListType, pointer: str) -> Iterator[FieldError]:
    if info.min_length is not None and len(value) < info.min_length:
        yield FieldError(
            pointer=pointer, detail=f"At least {info.min_length} are needed.", code="too-few"
        )
    if info.max_length is not None and len(value) > info.max_length:
        yield FieldError(
            pointer=pointer, detail=f"At most {info.max_length} are allowed.", code="too-many"
        )
        return
    for index, item in enumerate(value):
        yield from _walk(item, info.item_type, None, f"{pointer}/{index}")


def _union(value: Any, info: mi.UnionType, pointer: str) -> Iterator[FieldError]:
    if value is None and info.includes_none:
        return
    shaped = [one for one in info.types if not isinstance(one, mi.NoneType)]
    if len(shaped) == 1:
        yield from _walk(value, shaped[0], None, pointer)
        return
    attempts = [list(_walk(value, one, None, pointer)) for one in shaped]
    if all(attempts):
        yield min(attempts, key=len)[0]


def _leaf(value: Any, info: mi.Type, kind: Any, pointer: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, kind if kind is not None else _annotation(info))
    except msgspec.ValidationError as error:
        message = str(error).partition(" - at `")[0]
        yield FieldError(pointer=pointer, detail=f"{message}.", code="invalid")


def _annotation(info: mi.Type) -> Any:
    """The annotation that msgspec's description came from, with its constraints."""
    if isinstance(info, mi.StructType):
        return info.cls
    if isinstance(info, mi.EnumType | mi.CustomType):
        return info.cls
    if isinstance(info, mi.LiteralType):
        return Literal[tuple(info.values)]
    plain: dict[type[mi.Type], Any] = {
        mi.StrType: str,
        mi.IntType: int,
        mi.FloatType: float,
        mi.BoolType: bool,
        mi.NoneType: None,
        mi.DateType: dt.date,
        mi.DateTimeType: dt.datetime,
        mi.TimeType: dt.time,
        mi.TimeDeltaType: dt.timedelta,
        mi.DecimalType: decimal.Decimal,
        mi.UUIDType: uuid.UUID,
        mi.ListType: list,
        mi.DictType: dict,
        mi.SetType: set,
        mi.FrozenSetType: frozenset,
        mi.BytesType: bytes,
    }
    annotation = plain.get(type(info), Any)
    constraints = {
        name: getattr(info, name)
        for name in ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")
        if getattr(info, name, None) is not None
    }
    if constraints and annotation is not Any:
        return Annotated[annotation, msgspec.Meta(**constraints)]
    return annotation


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
