"""Calling an interface that is known by its OpenAPI document only."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import product
from typing import Any

from pss_kernel.testing.conformance._interface import Operation
from pss_kernel.testing.conformance._interface import filled as fill
from pss_kernel.testing.conformance._interface import operations as every_operation

__all__ = [
    "WORDS",
    "Operation",
    "filled",
    "operations",
    "path_of",
    "places",
    "replaced",
    "sent_to",
    "targets",
    "wrong_bodies",
]

_SOON = (date.today() + timedelta(days=2)).isoformat()  # noqa: DTZ011 - any near day

# What to send where no id fits: by "Schema.property", else by "property".
WORDS: dict[str, Any] = {
    "NewService.type": "meal",
    "scope": "meals:read",
    "network": "203.0.113.0/24",
    "expires_at": "2090-01-01T00:00:00Z",
    "api_version": "2026-11-25",
    "SecondFactor.code": "123456",
    "StepUp.code": "123456",
    "Confirmation.code": "123456",
    "CardMethod.type": "card",
    "PassengerDocument.type": "passport",
    "TravelDocument.type": "passport",
    "type": "adult",
    "origin": "VIE",
    "destination": "LHR",
    "departure_date": _SOON,
    "date": _SOON,
    "expires_on": "2035-01-01",
    "born_on": "1990-01-01",
    "given_name": "Alva",
    "title": "Ms",
    "email": "alva@example.org",
    "phone": "+43 1 234567",
    "cabin": "economy",
    "seat": "12A",
    "code": "VGML",
    "amount": "1.00",
    "currency": "EUR",
    "token": "tok_visa",
    "return_url": "https://example.org/",
    "issuing_country": "AUT",
    "nationality": "AUT",
    "pieces": 1,
    "weight_kg": 10,
    "board_point": "VIE",
    "note": "looked at",
    "authorised": {"Y": 1},
    "cursor": None,
    "metadata": {},
    "permission": "meals:read",
    "NewRole.name": "tried_role",
    "NewAccount.role": "user",
    "RolesOfAccount.role": "user",
}


def filled(
    schema: dict[str, Any], document: dict[str, Any], ids: Mapping[str, str], name: str = ""
) -> Any:
    """Make a value of the schema with these ids wherever a field of that name takes one."""
    return fill(schema, document, ids, name, words=WORDS)


def operations(document: dict[str, Any]) -> list[Operation]:
    """Every operation that takes JSON and answers problems.

    The token endpoint takes a form and answers errors of its own (RFC 6749): its tests stand alone.
    """
    return [one for one in every_operation(document) if one.path != "/v1/oauth/token"]


def targets(operation: Operation, named: Mapping[str, str]) -> Iterator[str]:
    """The path with the ids that fit its names; then with every other id there is."""
    if not operation.in_path:
        yield operation.path
        return
    choices = [_fitting(name, named) for name in operation.in_path]
    for values in product(*choices):
        path = operation.path
        for name, value in zip(operation.in_path, values, strict=True):
            path = path.replace(f"{{{name}}}", value.replace(" ", "%20"))
        yield path


def _fitting(name: str, named: Mapping[str, str]) -> list[str]:
    """What to try in a path: the ids of that name or the word for it, then every other id."""
    if name not in named and name in WORDS:
        return [str(WORDS[name])]
    fitting = [named[name]] if name in named else []
    others = [one for one in named.values() if one not in fitting and "/" not in one]
    if name == "order_id":
        fitting.append(named["held_order_id"])
    return [*fitting, *others]


def path_of(operation: Operation, named: Mapping[str, str]) -> str:
    """The path with the ids that fit its names, and no id at all where none is known."""
    path = operation.path
    for name in operation.in_path:
        path = path.replace(f"{{{name}}}", named.get(name, "x"))
    return path


def sent_to(
    operation: Operation, document: dict[str, Any], named: Mapping[str, str]
) -> dict[str, Any]:
    """Query and body with the ids wherever one fits."""
    query = {name: filled({"type": "string"}, document, named, name) for name in operation.in_query}
    if {"order_id", "offer_id"} <= query.keys():
        del query["offer_id"]  # one or the other
    known = {name: value for name, value in query.items() if value not in {None, "x"}}
    found: dict[str, Any] = {"params": known}
    if operation.body is not None:
        found["json"] = filled(operation.body, document, named)
    return found


_ODD = (None, "", "x", "\0", "é" * 40_000, 0, -1, 1 << 70, 1.5, True, [], [[]], {}, {"a": {"b": 1}})


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def wrong_bodies(good: Any) -> Iterator[Any]:
    """Spoil a good body: whole, and each of its fields in turn."""
    yield from _ODD
    yield _nested(200)
    if isinstance(good, dict):
        yield good | {"no_such_field": 1}
    for path in places(good):
        for odd in (*_ODD, _nested(200)):
            yield replaced(good, path, odd)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each value within a body stands: the keys that lead to it."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, item in entries:
        yield (*path, key)
        yield from places(item, (*path, key))


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """The body with another value in one place."""
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return changed
