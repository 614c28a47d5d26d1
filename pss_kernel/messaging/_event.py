"""What an event is: a frozen struct with a stable name and version."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

__all__ = ["Event"]


class _EventMeta(type(msgspec.Struct)):  # type: ignore[misc]  # msgspec's metaclass has no public name
    """Takes ``name`` and ``version`` as class keywords, beside msgspec's own."""

    def __new__(  # noqa: D102
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


class Event(msgspec.Struct, metaclass=_EventMeta):
    """Base of all events: ``class OrderPaid(Event, name="order-paid", version=1): …``.

    ``event_type`` is ``<plugin>.<name>``, given by the plugin that lists it in ``emits``.
    """

    event_name: ClassVar[str]
    event_version: ClassVar[int]
    event_type: ClassVar[str]
