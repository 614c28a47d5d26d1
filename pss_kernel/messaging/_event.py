"""What an event is: a frozen struct with a stable name and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

__all__ = ["Event"]


class _EventMeta(type(msgspec.Struct)):  # type: ignore[misc]  # it has no public name
    """Takes ``name`` and ``version`` as class keywords, beside msgspec's own."""

    def __new__(
        cls,
        class_name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        name: str = "",
        version: int = 1,
        **keywords: Any,
    ) -> Any:
        keywords.setdefault("frozen", True)
        keywords.setdefault("kw_only", True)
        created = super().__new__(cls, class_name, bases, namespace, **keywords)
        created.event_name = name
        created.event_version = version
        created.event_type = name
        return created


if TYPE_CHECKING:

    class _EventBase(msgspec.Struct):
        """What type checkers see: the class keywords, without the metaclass."""

        def __init_subclass__(cls, *, name: str = "", version: int = 1) -> None: ...

else:

    class _EventBase(msgspec.Struct, metaclass=_EventMeta):
        """Takes the class keywords through its metaclass."""


class Event(_EventBase):
    """Base of all events: ``class OrderPaid(Event, name="order-paid", version=1): …``.

    ``event_type`` is ``<plugin>.<name>``, given by the plugin that lists it in ``emits``.
    """

    event_name: ClassVar[str]
    event_version: ClassVar[int]
    event_type: ClassVar[str]
