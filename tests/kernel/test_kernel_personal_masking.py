"""Log lines carry no personal fields, and no words of exceptions that quote values."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import msgspec
import pytest
import structlog

from pss_kernel import PersonalData
from pss_kernel.config import Config
from pss_kernel.masking import masked_fields
from pss_kernel.observability import configure_logging
from pss_kernel.testing import TestKit

CANARY = "Zwiebelfisch"


class _Person(msgspec.Struct):
    id: str
    name: Annotated[str, PersonalData("name")]
    phones: list[Annotated[str, PersonalData("telephone")]] = []


class _Party(msgspec.Struct):
    leader: _Person
    others: list[_Person]


def test_structs_are_masked_by_their_annotations() -> None:
    """Wherever they stand: within structs, lists and dictionaries; what is not personal stays."""
    person = _Person("p1", CANARY, ["+43 1"])
    masked = {"id": "p1", "name": "***", "phones": "***"}
    assert masked == masked_fields(person)
    assert {"leader": masked, "others": [masked]} == masked_fields(_Party(person, [person]))
    assert {"a": [masked]} == masked_fields({"a": (person,)})


@pytest.fixture(params=["json", "text"])
def logging(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], io.StringIO]:
    """Log at the lowest level, for machines and for people, into what is given."""

    def begin() -> io.StringIO:
        out = io.StringIO()
        monkeypatch.setattr(sys, "stderr", out)
        configure_logging(Config(data_dir=Path(), log_level="debug", log_format=request.param))
        return out

    return begin


def test_a_logged_struct(logging: Callable[[], io.StringIO]) -> None:
    """The line has its id, and asterisks for the name."""
    out = logging()
    structlog.get_logger("test").info("met", person=_Person("p1", CANARY))
    line = out.getvalue()
    assert (True, True, False) == ("p1" in line, "***" in line, CANARY in line)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: msgspec.convert({"id": CANARY, "name": 1}, _Person, strict=True),
        lambda: int(CANARY),
        lambda: {}[CANARY],
        lambda: msgspec.json.decode(f'"{CANARY}"', type=int),
    ],
)
def test_an_exception_that_quotes_values(
    logging: Callable[[], io.StringIO], wrong: Callable[[], Any]
) -> None:
    """The traceback has places and types, not what they were given."""
    out = logging()
    try:
        try:
            wrong()
        except Exception as error:
            raise RuntimeError("what we say ourselves") from error
    except RuntimeError:
        structlog.get_logger("test").exception("failed")
    line = out.getvalue()
    assert (True, True, False) == (
        *("what we say ourselves" in line, "test_kernel_personal_masking" in line),
        CANARY in line,
    )


async def test_what_the_database_says(kit: TestKit, logging: Callable[[], io.StringIO]) -> None:
    """State and constraint are there; the DETAIL with the key's values is not."""
    tenant = await kit.make_tenant(plugins=["notes"])
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with kit.unit_of_work(tenant) as uow:
            await uow.hot(
                "INSERT INTO person_key (subject, data_key, wrapped) "
                "VALUES ($1, 1, 'x'), ($1, 1, 'x')",
                CANARY,
            )
    assert CANARY in str(caught.value)  # so it would have been seen
    out = logging()
    structlog.get_logger("test").error("failed", exc_info=caught.value)
    line = out.getvalue()
    assert (True, True, False) == ("23505" in line, "pk_person_key" in line, CANARY in line)


def test_a_json_line_has_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a text within the line."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    configure_logging(Config(data_dir=Path(), log_level="debug", log_format="json"))
    structlog.get_logger("test").error("failed", exc_info=OSError("no such place"))
    assert "builtins.OSError: no such place" == json.loads(out.getvalue())["exception"]
