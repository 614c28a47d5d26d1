"""Calling an interface that is known by its OpenAPI document only."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

__all__ = ["Operation", "filled", "operations", "wrong_bodies"]

_METHODS = ("get", "post", "put", "patch", "delete")
_SOON = (date.today() + timedelta(days=2)).isoformat()  # noqa: DTZ011 - any near day

# What to send where no id fits: by "Schema.property", else by "property".
_WORDS: dict[str, Any] = {
    "NewService.type": "meal",
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
}


@dataclass(frozen=True)
class Operation:
    """A method at a path. ``body`` is the schema of its JSON, None where it takes none."""

    method: str
    path: str
    in_path: tuple[str, ...]
    in_query: tuple[str, ...]
    body: dict[str, Any] | None
    guest: bool
    responses: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def operations(document: dict[str, Any]) -> list[Operation]:
    """List every operation under /v1 that belongs to a plugin."""
    return [
        Operation(
            method=method.upper(),
            path=path,
            in_path=_names(declared, "path"),
            in_query=_names(declared, "query"),
            body=declared.get("requestBody", {})
            .get("content", {})
            .get("application/json", {})
            .get("schema"),
            guest={} in declared["security"],
            responses=declared["responses"],
        )
        for path, item in document["paths"].items()
        for method, declared in item.items()
        if method in _METHODS and declared.get("security")
    ]


def _names(declared: dict[str, Any], place: str) -> tuple[str, ...]:
    return tuple(one["name"] for one in declared.get("parameters", []) if one["in"] == place)


def filled(
    schema: dict[str, Any], document: dict[str, Any], ids: Mapping[str, str], name: str = ""
) -> Any:
    """Make a value of the schema with these ids wherever a field of that name takes one."""
    title = ""
    while "$ref" in schema:
        title = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][title]
    choices = [one for one in _choices(schema) if one.get("type") != "null"]
    if choices:
        return filled(choices[0], document, ids, name)
    if schema.get("type") == "array":
        return [filled(schema.get("items", {}), document, ids, name.removesuffix("s"))]
    field = name.rpartition(".")[2]
    if "properties" in schema:
        return {
            each: filled(sub, document, ids, f"{title or field}.{each}")
            for each, sub in schema["properties"].items()
        }
    return ids[field] if field in ids else _plain(schema, name, field)


def _plain(schema: dict[str, Any], name: str, field: str) -> Any:
    """Make a value that no id fits: a word that is known for the field, or any of its type."""
    for key in (name, field):
        if key in _WORDS:
            return copy.deepcopy(_WORDS[key])
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type")
    plain = {"integer": 1, "number": 1.0, "boolean": False, "object": {}, "string": "x"}
    return plain.get(kind if isinstance(kind, str) else "string")


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    groups = (schema.get(one) for one in ("anyOf", "oneOf", "allOf"))
    found: list[dict[str, Any]] = next((one for one in groups if one), [])
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
    for path in _places(good):
        for odd in (*_ODD, _nested(200)):
            yield _replaced(good, path, odd)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, item in entries:
        yield (*path, key)
        yield from _places(item, (*path, key))


def _replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return changed
