"""What log lines never carry: personal fields, by their annotation, and what exceptions quote.

Nothing here guesses from text. A field says of itself that it is personal; an exception says by
its type that its words are made of values.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Annotated, Any, TextIO, get_args, get_origin, get_type_hints

import asyncpg
import msgspec
import sqlalchemy.exc

from pss_kernel.keys._secret import MASK

__all__ = ["PersonalData", "exception_text", "mask_fields", "masked_fields", "write_exception"]

_QUOTING = (
    msgspec.MsgspecError,
    sqlalchemy.exc.SQLAlchemyError,
    asyncpg.InterfaceError,
    ValueError,
    LookupError,
)
"""Their words quote what they were given: a value that doesn't fit, a key that isn't there."""


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Beside a field's type: ``name: Annotated[str, PersonalData("name")]``.

    Where a struct is logged, ``***`` stands in place of such a field.
    """

    what: str = ""


def mask_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """A processor of structlog's: structs in a line become their fields, personal ones masked."""
    return {name: masked_fields(value) for name, value in event.items()}


def masked_fields(value: Any) -> Any:
    """A struct as a dictionary without what is personal; also within lists and dictionaries."""
    if isinstance(value, msgspec.Struct):
        personal = _personal(type(value))
        return {
            name: MASK if name in personal else masked_fields(getattr(value, name))
            for name in value.__struct_fields__
        }
    if isinstance(value, Mapping):
        return {name: masked_fields(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked_fields(one) for one in value]
    return value


@cache
def _personal(kind: type[msgspec.Struct]) -> frozenset[str]:
    try:
        hints = get_type_hints(kind, include_extras=True)
    except NameError:  # what a type-checker alone can see: then nothing of it is shown
        return frozenset(kind.__struct_fields__)
    return frozenset(name for name, hint in hints.items() if _marked(hint))


def _marked(hint: Any) -> bool:
    if get_origin(hint) is Annotated and any(
        isinstance(one, PersonalData) for one in hint.__metadata__
    ):
        return True
    return any(_marked(one) for one in get_args(hint) if not isinstance(one, PersonalData))


def exception_text(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None],
) -> str:
    """An exception with what led to it: places and types, and words only where they quote nothing.

    Of a database's error, its state, and the names of constraint, table and column.
    """
    return "".join(_lines(exc_info[1], set())).rstrip("\n")


def write_exception(out: TextIO, info: Any) -> None:
    """The same, for people."""
    out.write("\n" + exception_text(info))


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    cause = error.__cause__
    earlier = cause or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _lines(earlier, seen)
        yield "\nwhich led to:\n\n" if cause else "\nand while that was handled:\n\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}{_said(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _lines(one, seen)


def _said(error: BaseException) -> str:
    if isinstance(error, asyncpg.PostgresError):
        facts = {
            name: getattr(error, name, None)
            for name in ("sqlstate", "schema_name", "table_name", "column_name", "constraint_name")
        }
        return ": " + ", ".join(f"{name} {value}" for name, value in facts.items() if value)
    if isinstance(error, _QUOTING):
        return ""
    said = str(error)
    return f": {said}" if said else ""
