"""A plugin for the kernel's tests: notes that a tenant keeps, and counters that run out."""

from datetime import date
from typing import Annotated

import msgspec

from pss_kernel import Own, Permission, Plugin, UpTo
from pss_notes.contracts import NoteErased, NoteWritten


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A few kinds of values, each with a default."""

    most: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 100
    greeting: str = "hello"
    since: date | None = None
    labels: dict[str, list[str]] = msgspec.field(default_factory=dict)


POST = Permission(
    "notes:post",
    "Post a note",
    level="agent",
    rules=(UpTo("the postage"), Own("branch", "where it is posted")),
)

plugin = Plugin(
    "notes",
    version="1.2.0",
    summary="Notes and counters",
    settings=Settings,
    permissions=[
        Permission("notes:see", "List notes", guest=True),
        Permission("notes:read", "Read a note", level="agent"),
        Permission("notes:write", "Write and erase notes", level="manager"),
        POST,
    ],
    emits=[NoteWritten, NoteErased],
    modules=["routes", "postage", "faults", "hooks", "handlers", "jobs", "files"],
)
