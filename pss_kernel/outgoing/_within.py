"""No call to another company while rows are held (a slow partner would hold up everybody)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from pss_kernel.errors import Problem

if TYPE_CHECKING:
    from pss_kernel.persistence._binding import Binding

__all__ = ["CallWithinUnit", "refuse_within_unit", "within_unit"]

_open: ContextVar[Binding | None] = ContextVar("pss_open_unit", default=None)


class CallWithinUnit(Problem):
    """Code called somebody else with a unit of work open: a mistake in a plugin."""

    code, title = "call-within-unit", "A call to somebody else was made with a unit of work open"


@contextmanager
def within_unit(binding: Binding) -> Iterator[None]:
    """The block is a unit of work, and so is what it starts."""
    before = _open.get()
    _open.set(binding)
    try:
        yield
    finally:
        _open.set(before)


def refuse_within_unit(plugin: str, target: str) -> None:
    """Raises CallWithinUnit while a unit of work is open here."""
    binding = _open.get()
    if binding is not None and not binding.ended:
        raise CallWithinUnit(
            f"The plugin {plugin!r} called {target!r} with a unit of work open.",
            mend="Take 'work' instead of 'uow', end the unit, call, and begin another.",
        )
