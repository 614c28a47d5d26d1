"""What a test makes the plugins do: functions by name, absent ones do nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

scripts: dict[str, Callable[..., Awaitable[Any]]] = {}


async def play(name: str, *arguments: Any) -> Any:
    script = scripts.get(name)
    return await script(*arguments) if script else None
