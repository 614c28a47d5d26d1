"""A plugin for the kernel's tests that misbehaves in the way that its tenant's settings say."""

from __future__ import annotations

from typing import Literal

import msgspec

from pss_kernel import Permission, Plugin


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What it does wrong; at a tenant that says nothing it is good."""

    does: Literal[
        "well",
        "hang",
        "hang-in-core",
        "hang-in-sql",
        "raise",
        "answer-500",
        "block",
        "eat-database",
        "leak",
        "spawn",
        "break-savepoint",
        "break-transaction",
        "refuse",
    ] = "well"


plugin = Plugin(
    "rogue",
    version="0.1.0",
    summary="Does wrong",
    requires=["notes>=1.0"],
    settings=Settings,
    permissions=[Permission("rogue:call", "Call it", guest=True)],
    modules=["routes", "hooks", "handlers"],
)
