from __future__ import annotations

from typing import Annotated

import msgspec

from pss_kernel import Secret


class Desk(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A setting inside a setting."""

    greeting: str = ""


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A setting of each kind."""

    sender: str = ""
    size: Annotated[str, msgspec.Meta(pattern="^(small|large)$")] = "small"
    limit: int = 5
    aliases: list[str] = []
    labels: dict[str, str] = {}
    desk: Desk = Desk()
    token: Secret | None = None
