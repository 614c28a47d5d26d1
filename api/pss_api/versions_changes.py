"""What changed with each version of the interface. Each change stands here, and nowhere else."""

from __future__ import annotations

from typing import Any

from pss_api.versions import Change, at

__all__ = ["CHANGES", "changes_of"]


def _service_with_detail(service: dict[str, Any]) -> dict[str, Any]:
    """A service of before: what was asked for as ``seat`` or ``code`` came back as ``detail``."""
    before = {name: value for name, value in service.items() if name not in {"seat", "code"}}
    return before | {"detail": service.get("seat") or service.get("code") or ""}


CHANGES: tuple[Change, ...] = (
    Change(
        version="2026-11-25",
        summary="A service of an order has the fields `seat` and `code` under which it was asked "
        "for, instead of `detail`; one of them is `null`.",
        operations=frozenset(
            {
                "reservation_create_order",
                "reservation_find_own_order",
                "reservation_show_order",
                "reservation_clear_attention",
            }
        ),
        response=at("/services/*", _service_with_detail),
    ),
    Change(
        version="2026-11-25",
        summary="The same holds for the service that was just added to an order.",
        operations=frozenset({"reservation_create_service"}),
        response=at("", _service_with_detail),
    ),
)


def changes_of(operation: str, changes: tuple[Change, ...] = CHANGES) -> tuple[Change, ...]:
    """The changes of one operation, the oldest first."""
    found = (one for one in changes if operation in one.operations)
    return tuple(sorted(found, key=lambda one: one.version))
