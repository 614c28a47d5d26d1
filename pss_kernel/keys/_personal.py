"""What a plugin's table says of a column with personal data, and what is read once it is erased."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, final

from sqlalchemy import LargeBinary, MetaData

__all__ = ["ERASED", "Erased", "Personal", "personal_columns"]


class Personal(LargeBinary):
    """A column whose values are sealed with the key of the person that they are about.

    ``what`` names for people what is kept there. The values come from ``UnitOfWork.seal``.
    """

    cache_ok = True

    def __init__(self, what: str = "") -> None:
        super().__init__()
        self.what = what


@final
class Erased:
    """In place of a value whose key was erased; there is one, ``ERASED``, and it is false."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ERASED"

    def __bool__(self) -> Literal[False]:
        return False

    def __reduce__(self) -> str:
        return "ERASED"  # the one of this module, after a copy too


ERASED = Erased()


def personal_columns(metadata: MetaData) -> Iterator[tuple[str, str]]:
    """The personal columns of a plugin's tables, as ``table.column``, and what they keep."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            kind: Any = column.type
            if isinstance(kind, Personal):
                yield f"{table.name}.{column.name}", kind.what
