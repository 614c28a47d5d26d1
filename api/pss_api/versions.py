"""Versions of the interface by date: routes know the newest, callers get the one they ask for.

A change is declared once (``versions_changes``), with what makes a body of the version before into
one of its own, and an answer of its own into one of the version before. For a caller of an older
version all changes since are applied, one after the other; for the newest nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.api_versions import NEWEST, OLDEST, VERSIONS
from pss_kernel.errors import BadRequest, FieldError

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.installation import Installation

__all__ = ["Change", "at", "newer_body", "older_answer", "pointers_as_sent", "since", "version_of"]

Transformation = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """What is different since a version, in some operations.

    The transformations work on decoded JSON, on one object at a time (see ``at``), and leave
    alone what is not as they expect it: what is wrong with a body is said afterwards.
    """

    version: str
    """The first version that has it."""
    summary: str
    operations: frozenset[str]
    """Their ids in the OpenAPI document."""
    request: Callable[[Any], Any] | None = None
    """From a body of the version before to one of this version."""
    response: Callable[[Any], Any] | None = None
    """From an answer of this version to one of the version before."""
    pointers: Mapping[str, str] = field(default_factory=dict)
    """Where a field of a body stands in this version, and where in the one before; ``*`` is any
    place in a list."""


def at(path: str, transformation: Transformation) -> Callable[[Any], Any]:
    """Apply to each object at a path such as ``/services/*``; ``""`` is the whole value."""
    steps = path.split("/")[1:]

    def walk(value: Any, left: list[str]) -> Any:
        if not left:
            return transformation(value) if isinstance(value, dict) else value
        step, rest = left[0], left[1:]
        if step == "*":
            return [walk(one, rest) for one in value] if isinstance(value, list) else value
        if isinstance(value, dict) and step in value:
            return value | {step: walk(value[step], rest)}
        return value

    return lambda value: walk(value, steps)


def version_of(installation: Installation, actor: Actor, wanted: str | None) -> str:
    """The version of a request: the header ``PSS-Version``, else the key's, else the newest.

    Raises BadRequest for a version that there is not.
    """
    if wanted is not None:
        if wanted in VERSIONS:
            return wanted
        raise BadRequest(
            f"There is no version {wanted[:40]!r} of this interface.",
            code="unknown-version",
            mend=f"Known are: {', '.join(VERSIONS)}.",
        )
    key = installation.directory.key(actor.id) if actor.kind == "key" else None
    if key is None:
        return NEWEST
    return key.api_version if key.api_version in VERSIONS else OLDEST


def since(changes: Iterable[Change], version: str) -> tuple[Change, ...]:
    """The changes after a version, the oldest first (versions are dates, and sort as text)."""
    return tuple(
        sorted((one for one in changes if one.version > version), key=lambda one: one.version)
    )


def newer_body(changes: Iterable[Change], body: bytes) -> bytes:
    """A body of an older version as the newest has it; what can't be read stays as it is."""
    wanted = [one.request for one in changes if one.request is not None]
    if not wanted or not body:
        return body
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    for change in wanted:
        value = change(value)
    return msgspec.json.encode(value)


def older_answer(changes: Iterable[Change], body: bytes, written: str = NEWEST) -> bytes:
    """An answer of the version ``written`` as an older version has it."""
    wanted = [
        one.response for one in changes if one.response is not None and one.version <= written
    ]
    if not wanted:
        return body
    value = msgspec.json.decode(body)
    for change in reversed(wanted):
        value = change(value)
    return msgspec.json.encode(value)


def pointers_as_sent(changes: Iterable[Change], errors: list[FieldError]) -> list[FieldError]:
    """Errors with pointers into the body that the caller sent."""
    found = errors
    for change in reversed(list(changes)):
        if change.pointers:
            found = [
                msgspec.structs.replace(one, pointer=_before(change.pointers, one.pointer))
                for one in found
            ]
    return found


def _before(pointers: Mapping[str, str], pointer: str) -> str:
    steps = pointer.split("/")
    for now, before in pointers.items():
        wanted = now.split("/")
        if len(steps) < len(wanted):
            continue
        if all(want in {"*", step} for want, step in zip(wanted, steps, strict=False)):
            places = iter([step for want, step in zip(wanted, steps, strict=False) if want == "*"])
            head = [next(places) if step == "*" else step for step in before.split("/")]
            return "/".join([*head, *steps[len(wanted) :]])
    return pointer
