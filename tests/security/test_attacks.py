"""Attacks on every operation of the document: SQL in every text, fields that are the server's."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from pss_outside.openapi import filled, operations, path_of, places, replaced

pytestmark = [pytest.mark.xdist_group("security")]

_SLOW = 20_000  # ms: as long as no request may take; whoever sleeps is cancelled long before
_SQL = (
    "' OR '1'='1",
    "'; SELECT pg_sleep(60); --",
    "' UNION SELECT password_hash FROM account --",
    "\\'; DROP SCHEMA pss CASCADE; --",
    "$$; DROP TABLE event; $$",
    "1; SET ROLE postgres; --",
    "%' ESCAPE '",
    "x' AND pg_sleep(60) IS NULL AND 'a'='a",
)
_SERVERS = {
    "id": "ord_0000000000000000000outside",
    "tenant": "outside",
    "role": "super_admin",
    "roles_given": ["super_admin"],
    "is_admin": True,
    "scopes_given": ["*"],
    "status": "confirmed",
    "price": {"amount": "0.07", "currency": "EUR"},
    "created_at": "1971-02-03T04:05:06Z",
    "created_by": "outside",
    "__class__": "x",
    "constructor": {"prototype": {"admin": True}},
}
_MARKS = ("outside", "1971-02-03", "0.07")
_COUNT = """
SELECT (SELECT count(*) FROM pg_class
        WHERE relnamespace IN ($1::regnamespace, 'pss'::regnamespace)),
       (SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'
        AND pid <> pg_backend_pid() AND state = 'active')
"""


def _texts(body: Any) -> Iterator[tuple[str | int, ...]]:
    """Where a text stands in a body."""
    for path in places(body):
        value = body
        for key in path:
            value = value[key]
        if isinstance(value, str):
            yield path


def _objects(body: Any) -> Iterator[tuple[str | int, ...]]:
    if isinstance(body, dict):
        yield ()
    for path in places(body):
        value = body
        for key in path:
            value = value[key]
        if isinstance(value, dict):
            yield path


async def _things(side: Any) -> tuple[int, int]:
    """How many relations there are, and whether somebody is made to sleep."""
    async with side.kit.installation.database.owner() as owner:
        return tuple(await owner.fetchrow(_COUNT, side.tenant.schema))  # type: ignore[return-value]


async def _outside(side: Any) -> str:
    """How many rows of the airline's tables hold a value that only an attacker has sent."""
    found = 0
    async with side.kit.installation.database.owner() as owner:
        tables = await owner.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = $1",
            side.tenant.schema,
        )
        for (name,) in tables:
            found += await owner.fetchval(
                f'SELECT count(*) FROM {side.tenant.schema}."{name}" t '
                "WHERE t::text LIKE '%outside%' OR t::text LIKE '%1971-02-03%'"
            )
    return f"{found} from outside"


async def test_sql_in_every_text(victim: Any, belongings: Any, document: Any) -> None:
    """Text stays text: nothing is dropped, nobody sleeps, and no answer is an internal error."""
    before = await _things(victim)
    wrong = []
    for operation in operations(document):
        path = path_of(operation, belongings.named)
        good = None
        if operation.body is not None:
            good = filled(operation.body, document, belongings.named)
        for text in _SQL:
            sent: list[dict[str, Any]] = [
                {"params": {name: text}, "json": good} for name in operation.in_query
            ]
            sent += [{"json": replaced(good, place, text)} for place in _texts(good)]
            for arguments in sent:
                answer = await victim.staff.request(
                    operation.method, path, headers={"Idempotency-Key": text}, **arguments
                )
                slow = answer.elapsed.total_seconds() * 1000 > _SLOW
                if answer.status_code >= 500 or slow or "syntax error" in answer.text:
                    wrong.append((str(operation), arguments, answer.status_code, answer.text[:200]))
    assert [] == wrong
    assert before == await _things(victim)


async def test_fields_that_are_the_servers(victim: Any, belongings: Any, document: Any) -> None:
    """What only the server says can't be sent: it is refused or left out, wherever it stands."""
    accepted = []
    for operation in operations(document):
        if operation.body is None:
            continue
        path = path_of(operation, belongings.named)
        good = filled(operation.body, document, belongings.named)
        for place in _objects(good):
            spoiled = copy.deepcopy(good)
            target: Any = spoiled
            for key in place:
                target = target[key]
            added = {name: value for name, value in _SERVERS.items() if name not in target}
            target |= added
            answer = await victim.staff.request(
                operation.method, path, json=spoiled, headers={"Idempotency-Key": str(uuid4())}
            )
            if answer.status_code == 422:
                continue
            taken = [one for one in _MARKS if one in answer.text]
            if taken or answer.status_code >= 500:
                accepted.append((str(operation), place, answer.status_code, taken))
    assert [] == accepted
    assert "0 from outside" == await _outside(victim)
