"""Keys as the interface shows and takes them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from pss_kernel.auth import KeyMode

if TYPE_CHECKING:
    import asyncpg

__all__ = [
    "ApiKeyChange",
    "ApiKeyFacts",
    "MadeApiKey",
    "NewApiKey",
    "Rotation",
    "facts_of",
    "made_of",
    "public_id",
]

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Scopes = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]],
    msgspec.Meta(min_length=1, max_length=200),
]
Networks = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=60)]], msgspec.Meta(max_length=50)
]
LONGEST_OVERLAP_HOURS = 720  # 30 days


class NewApiKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to be made.

    `scopes`: names of permissions, `<plugin>:*` or `*`, none beyond what you may do yourself.
    `networks`: where it may be used from, in CIDR notation; none: from everywhere. `mode`: `test`
    for a key that opens test data alone. `api_version`: the version of the interface that it asks
    for where a request names none; the newest, if you don't say.
    """

    name: Name
    scopes: Scopes
    expires_at: datetime | None = None
    networks: Networks = []
    mode: KeyMode | None = None
    api_version: Annotated[str, msgspec.Meta(max_length=10)] | None = None


class ApiKeyChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What shall be otherwise; what is left out stays as it is."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    scopes: Scopes | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    networks: Networks | msgspec.UnsetType = msgspec.UNSET
    api_version: Annotated[str, msgspec.Meta(max_length=10)] | msgspec.UnsetType = msgspec.UNSET


class Rotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the old key goes on working beside the new one."""

    overlap_hours: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_OVERLAP_HOURS)] = 24


class ApiKeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. `prefix` is how its text begins.

    `replaces` and `replaced_by` are the ids of the other one of a pair that was rotated. The last
    use is written down about once a second.
    """

    id: str
    name: str
    prefix: str
    mode: KeyMode
    state: Literal["active", "expired", "revoked"]
    scopes: list[str]
    networks: list[str]
    api_version: str | None
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None
    replaces: str | None
    replaced_by: str | None


class MadeApiKey(ApiKeyFacts, frozen=True, kw_only=True):
    """A key that was just made, with its text: it can't be shown a second time."""

    key: str


def facts_of(row: asyncpg.Record) -> ApiKeyFacts:
    """As the interface shows it."""
    return ApiKeyFacts(**_facts(row))


def made_of(row: asyncpg.Record, text: str) -> MadeApiKey:
    """As the interface shows it, this once with its text."""
    return MadeApiKey(**_facts(row), key=text)


def public_id(key_id: str | None) -> str | None:
    """The id of a key as the interface has it."""
    return None if key_id is None else f"key_{key_id}"


def _facts(row: asyncpg.Record) -> dict[str, Any]:
    given = {name: value for name, value in row.items() if name in ApiKeyFacts.__struct_fields__}
    return given | {
        "id": public_id(row["key_id"]),
        "prefix": f"pss_{row['mode']}_{row['key_id']}_",
        "scopes": sorted(row["scopes"]),
        "networks": list(row["networks"]),
        "replaces": public_id(row["replaces"]),
        "replaced_by": public_id(row["replaced_by"]),
    }
