"""Every failing field of a value at once, each with its pointer.

msgspec stops at the first error, which is right for speed. When it has refused a value, this
walks the same type again, slowly, and collects all that is wrong.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import inspect as mi

from pss_kernel.errors import FieldError
from pss_kernel.keys._secret import decode_secret

__all__ = ["explain"]

_MOST_ERRORS = 100  # a small body must not be answered with a huge one
_OBJECTS = (mi.StructType, mi.DataclassType, mi.TypedDictType)
_ARRAYS = (mi.ListType, mi.VarTupleType, mi.SetType, mi.FrozenSetType, mi.CollectionType)
_PLAIN: dict[type[mi.Type], Any] = {
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
    mi.BytesType: bytes,
    mi.ByteArrayType: bytearray,
    # What is inside these is looked at by itself.
    mi.ListType: list,
    mi.VarTupleType: list,
    mi.SetType: list,
    mi.FrozenSetType: list,
    mi.CollectionType: list,
    mi.DictType: dict,
}
_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")


def explain(value: Any, kind: Any, *, pointer: str = "") -> list[FieldError]:
    """What is wrong with ``value`` (decoded JSON or TOML) as a ``kind``; empty when nothing is."""
    try:
        msgspec.convert(value, kind, str_keys=True, dec_hook=decode_secret)
    except msgspec.ValidationError as error:
        found = list(islice(_walk(value, mi.type_info(kind), pointer), _MOST_ERRORS))
        return found or [_first_error(error, pointer)]
    return []


def _walk(value: Any, info: mi.Type, pointer: str) -> Iterator[FieldError]:
    if isinstance(info, mi.Metadata):
        info = info.type
    if isinstance(info, _OBJECTS) and isinstance(value, dict):
        yield from _object(value, info, pointer)
    elif isinstance(info, _ARRAYS) and isinstance(value, list):
        yield from _items(value, info, pointer)
    elif isinstance(info, mi.TupleType) and _fits(value, info):
        for index, (item, one) in enumerate(zip(value, info.item_types, strict=True)):
            yield from _walk(item, one, f"{pointer}/{index}")
    elif isinstance(info, mi.DictType) and isinstance(value, dict):
        yield from _entries(value, info, pointer)
    elif isinstance(info, mi.UnionType):
        yield from _union(value, info, pointer)
    else:
        yield from _leaf(value, _annotation(info), pointer)


def _object(value: dict[str, Any], info: Any, pointer: str) -> Iterator[FieldError]:
    found = False
    tag_field = getattr(info, "tag_field", None)
    known = {tag_field} if tag_field else set()
    for field in info.fields:
        known.add(field.encode_name)
        place = f"{pointer}/{_escaped(field.encode_name)}"
        if field.encode_name in value:
            for error in _walk(value[field.encode_name], field.type, place):
                found = True
                yield error
        elif field.required:
            found = True
            yield _required(place)
    if getattr(info, "forbid_unknown_fields", False):
        for name in value.keys() - known:
            found = True
            yield FieldError(
                pointer=f"{pointer}/{_escaped(name)}",
                detail=f"There is no such field here. Known are: {', '.join(sorted(known))}.",
                code="unknown-field",
            )
    if not found:  # its tag, and what it checks itself when it is made
        place = f"{pointer}/{_escaped(tag_field)}" if tag_field in value else pointer
        yield from _leaf(value, info.cls, place)


def _items(value: list[Any], info: Any, pointer: str) -> Iterator[FieldError]:
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
        yield from _walk(item, info.item_type, f"{pointer}/{index}")


def _entries(value: dict[str, Any], info: mi.DictType, pointer: str) -> Iterator[FieldError]:
    yield from _leaf(dict.fromkeys(value), _constrained(dict, info), pointer)
    key_kind = _annotation(info.key_type)
    for key, item in value.items():
        place = f"{pointer}/{_escaped(str(key))}"
        yield from _leaf({key: None}, dict[key_kind, Any], place)  # type: ignore[valid-type]
        yield from _walk(item, info.value_type, place)


def _union(value: Any, info: mi.UnionType, pointer: str) -> Iterator[FieldError]:
    if value is None and info.includes_none:
        return
    fitting = [one for one in info.types if _fits(value, one)]
    tag_field = getattr(fitting[0], "tag_field", None) if fitting else None
    if tag_field and isinstance(value, dict):
        place = f"{pointer}/{_escaped(tag_field)}"
        tagged: dict[Any, Any] = {getattr(one, "tag", None): one for one in fitting}
        if tag_field not in value:
            yield _required(place)
            return
        given = value[tag_field]
        if not isinstance(given, str | int) or given not in tagged:
            expected = ", ".join(sorted(map(str, tagged)))
            yield FieldError(pointer=place, detail=f"It must be one of: {expected}.")
            return
        fitting = [tagged[given]]
    shaped = fitting or [one for one in info.types if not isinstance(one, mi.NoneType)]
    if len(shaped) == 1:
        yield from _walk(value, shaped[0], pointer)
    else:
        kinds = tuple(_annotation(one) for one in info.types)
        yield from _leaf(value, Union[kinds], pointer)  # noqa: UP007 - made at run time


def _fits(value: Any, info: mi.Type) -> bool:
    """Whether the value has the form, object or array, of what stands inside the type."""
    if isinstance(value, dict):
        return isinstance(info, (*_OBJECTS, mi.DictType))
    if isinstance(value, list):
        fixed = isinstance(info, mi.TupleType) and len(value) == len(info.item_types)
        return fixed or isinstance(info, _ARRAYS)
    return False


def _leaf(value: Any, annotation: Any, pointer: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, annotation, str_keys=True, dec_hook=decode_secret)
    except msgspec.ValidationError as error:
        yield FieldError(pointer=pointer, detail=_message(error))


def _first_error(error: msgspec.ValidationError, pointer: str) -> FieldError:
    """What msgspec found itself, with the beginning of its path that can be told exactly."""
    path = str(error).partition(" - at `$")[2].partition("[...]")[0]
    for name, index in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", path):
        pointer += f"/{_escaped(name or index)}"
    return FieldError(pointer=pointer, detail=_message(error))


def _message(error: msgspec.ValidationError) -> str:
    return str(error).partition(" - at `")[0].rstrip(".") + "."


def _required(pointer: str) -> FieldError:
    return FieldError(pointer=pointer, detail="This field is required.", code="required")


def _annotation(info: mi.Type) -> Any:
    """The annotation that msgspec's description came from, as far as it decides by itself."""
    if isinstance(info, mi.Metadata):
        return _annotation(info.type)
    if isinstance(info, mi.LiteralType):
        return Literal[tuple(info.values)]
    if isinstance(info, mi.TupleType):
        return tuple[(Any,) * len(info.item_types)]  # type: ignore[misc]
    if isinstance(info, mi.UnionType):
        return Union[tuple(_annotation(one) for one in info.types)]  # noqa: UP007 - at run time
    return _constrained(getattr(info, "cls", _PLAIN.get(type(info), Any)), info)


def _constrained(annotation: Any, info: mi.Type) -> Any:
    constraints = {
        name: getattr(info, name) for name in _CONSTRAINTS if getattr(info, name, None) is not None
    }
    return Annotated[annotation, msgspec.Meta(**constraints)] if constraints else annotation


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
