"""What other plugins may import."""

from __future__ import annotations

import msgspec

from pss_kernel import Conflict, Event, UnitOfWork, hookspec, service


class Note(msgspec.Struct, frozen=True):
    """One note."""

    id: str
    body: str


class Exhausted(Conflict):
    """The counter has run out."""

    code = "exhausted"


class NoteWritten(Event, name="note-written", version=2):
    """A note was written."""

    note_id: str


class NoteErased(Event, name="note-erased"):
    """A note was erased."""

    note_id: str


@hookspec("first", budget=0.3)
async def title_of(uow: UnitOfWork, body: str) -> str | None:
    """A title for the text, from whoever has one."""


@hookspec("pipeline", budget=0.3)
async def polished(uow: UnitOfWork, body: str, note_id: str) -> str:
    """The text, improved by each plugin in turn."""


@hookspec("notify", budget=0.3)
async def note_read(uow: UnitOfWork, note_id: str) -> None:
    """Somebody has read the note."""


@service
async def note_by_id(uow: UnitOfWork, note_id: str) -> Note:
    """The note. Raises NotFound."""
