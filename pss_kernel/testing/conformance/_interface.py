"""Calling what is known by its JSON schema only: values that fit, with known ids where one does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Operation", "filled", "operations"]

_METHODS = ("get", "post", "put", "patch", "delete")
_FORMATS = {
    "date": "2030-06-15",
    "date-time": "2030-06-15T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT1H",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "decimal": "1",
    "email": "alva@example.org",
    "uri": "https://example.org/",
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
    plugin: str = ""

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
            plugin=next(iter(declared.get("tags", ())), ""),
        )
        for path, item in document["paths"].items()
        for method, declared in item.items()
        if method in _METHODS and declared.get("security")
    ]


def _names(declared: dict[str, Any], place: str) -> tuple[str, ...]:
    return tuple(one["name"] for one in declared.get("parameters", []) if one["in"] == place)


def filled(
    schema: dict[str, Any],
    document: dict[str, Any],
    known: Mapping[str, str],
    name: str = "",
    *,
    words: Mapping[str, Any],
) -> Any:
    """Make a value of the schema, with what is known wherever a field of that name takes a text.

    ``words``: what to send where nothing is known, by ``Schema.property`` or by ``property``.
    """
    title = ""
    while "$ref" in schema:
        title = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][title]
    choices = [one for one in _choices(schema) if one.get("type") != "null"]
    if choices:
        return filled(choices[0], document, known, name, words=words)
    if schema.get("type") == "array":
        item, one = schema.get("items", {}), name.removesuffix("s")
        return [filled(item, document, known, one, words=words)]
    field = name.rpartition(".")[2]
    if "properties" in schema:
        return {
            each: filled(sub, document, known, f"{title or field}.{each}", words=words)
            for each, sub in schema["properties"].items()
        }
    free = "string" in _kinds(schema) and not {"enum", "const"} & schema.keys()
    if field in known and free and schema.get("format", "uuid") == "uuid":
        return known[field]
    return _plain(schema, name, field, words)


def _plain(schema: dict[str, Any], name: str, field: str, words: Mapping[str, Any]) -> Any:
    """Make a value that no id fits: a word that is known for the field, or any of its type."""
    for key in (name, field):
        if key in words:
            return copy.deepcopy(words[key])
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    text = "x" * max(1, schema.get("minLength", 1))
    plain = {"integer": least, "number": 1.0, "boolean": False, "object": {}, "string": text}
    return plain.get(_kinds(schema)[0])


def _kinds(schema: dict[str, Any]) -> list[str]:
    kind = schema.get("type", "string")
    return kind if isinstance(kind, list) else [kind]


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    groups = (schema.get(one) for one in ("anyOf", "oneOf", "allOf"))
    found: list[dict[str, Any]] = next((one for one in groups if one), [])
    return found
