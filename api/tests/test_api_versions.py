"""Versions of the interface: what is declared, and how bodies, answers and pointers change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from pss_api import create_app
from pss_api.versions import Change, at, newer_body, older_answer, pointers_as_sent, since
from pss_api.versions_changes import CHANGES, changes_of
from pss_kernel.api_versions import NEWEST, OLDEST, VERSIONS
from pss_kernel.errors import FieldError
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit
from pss_sdk._exchange import API_VERSION

_PAGE = Path(__file__).parents[2] / "docs" / "api-versions.md"


def _answers(value: Any, *changes: Change) -> Any:
    return msgspec.json.decode(older_answer(changes, msgspec.json.encode(value)))


def test_what_is_declared() -> None:
    """Every version after the first changes something, and nothing else is a version."""
    assert list(VERSIONS) == sorted(set(VERSIONS))
    assert set(VERSIONS[1:]) == {one.version for one in CHANGES}


async def test_operations_are_there(installation: Installation) -> None:
    """A change names operations of the document, which tells of each change."""
    transport = httpx.ASGITransport(create_app(installation))
    async with httpx.AsyncClient(transport=transport, base_url="http://test.invalid") as client:
        document = (await client.get("/docs/openapi.json")).json()
    known = {
        one.get("operationId")
        for methods in document["paths"].values()
        for one in methods.values()
        if isinstance(one, dict)
    }
    for change in CHANGES:
        assert change.operations <= known
        assert change.summary in document["info"]["description"]


def test_changes_are_documented() -> None:
    """The page has each version with each of its changes and their operations."""
    page = _PAGE.read_text(encoding="utf-8")
    text = " ".join(page.split())
    assert sorted(VERSIONS) == sorted(
        line.removeprefix("## ") for line in page.splitlines() if line.startswith("## 20")
    )
    for change in CHANGES:
        assert change.summary in text
        for operation in change.operations:
            assert f"`{operation}`" in text


def test_the_sdk_names_the_version_of_its_types() -> None:
    """The Python client asks for the newest, whatever its key was made for."""
    assert NEWEST == API_VERSION


def test_services_of_before() -> None:
    """A service comes back as ``detail``, and nothing else of the order changes."""
    seat = {"id": "srv_1", "type": "seat", "seat": "12A", "code": None, "price": {"amount": "0"}}
    meal = {"id": "srv_2", "type": "meal", "seat": None, "code": "VGML", "price": {"amount": "1"}}
    order = {"id": "ord_1", "services": [seat, meal], "documents": [{"seat": "untouched"}]}
    was = _answers(order, *changes_of("reservation_show_order"))
    rest = {"id": "ord_1", "documents": [{"seat": "untouched"}]}
    assert rest == {name: value for name, value in was.items() if name != "services"}
    assert ["12A", "VGML"] == [one["detail"] for one in was["services"]]
    assert {"id", "type", "price", "detail"} == was["services"][0].keys()
    alone = _answers(meal, *changes_of("reservation_create_service"))
    assert was["services"][1] == alone


_RENAMED = Change(
    version="2026-11-25",
    summary="",
    operations=frozenset({"x"}),
    request=at(
        "/bags/*",
        lambda bag: {("weight" if name == "kilos" else name): value for name, value in bag.items()},
    ),
    response=at("", lambda value: value | {"order": [*value.get("order", ()), "second"]}),
    pointers={"/bags/*/weight": "/bags/*/kilos", "/note": "/remark"},
)
_FIRST = Change(
    version="2026-09-01",
    summary="",
    operations=frozenset({"x"}),
    request=at("", lambda value: value | {"bags": value.get("luggage", [])}),
    response=at("", lambda value: value | {"order": [*value.get("order", ()), "first"]}),
    pointers={"/bags": "/luggage"},
)


def test_one_after_the_other() -> None:
    """Bodies go from the oldest to the newest, answers the other way, pointers with the answers."""
    changes = since((_RENAMED, _FIRST), OLDEST)
    assert (_FIRST, _RENAMED) == changes
    body = newer_body(changes, b'{"luggage":[{"kilos":20},{"kilos":5}]}')
    assert [{"weight": 20}, {"weight": 5}] == msgspec.json.decode(body)["bags"]
    assert {"order": ["second", "first"]} == _answers({}, *changes)
    error = FieldError(pointer="/bags/1/weight", detail="Too heavy.")
    (said,) = pointers_as_sent(changes, [error])
    assert "/luggage/1/kilos" == said.pointer
    assert () == since(changes, NEWEST)
    assert (_RENAMED,) == since(changes, "2026-09-01")


@pytest.mark.parametrize(
    ("pointer", "sent"),
    [
        ("/note", "/remark"),
        ("/note/deeper", "/remark/deeper"),
        ("/notes", "/notes"),
        ("/bags/0/colour", "/bags/0/colour"),
        ("", ""),
    ],
)
def test_pointers(pointer: str, sent: str) -> None:
    """Whole steps are compared; what did not change stays."""
    (found,) = pointers_as_sent([_RENAMED], [FieldError(pointer=pointer, detail="")])
    assert sent == found.pointer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff",
        b"[" * 5000,
        b"null",
        b"[]",
        b'{"bags": 7}',
        b'{"bags": [1, null]}',
    ],
)
def test_bodies_that_are_none(body: bytes) -> None:
    """What is not as a change expects it is left as it is: the route says what is wrong."""
    found = newer_body([_RENAMED], body)
    assert found == body or msgspec.json.decode(found) == msgspec.json.decode(body)


def test_answers_that_were_kept() -> None:
    """An answer that was written in an older version is only changed from there on."""
    kept = older_answer([_FIRST, _RENAMED], b"{}", written="2026-09-01")
    assert {"order": ["first"]} == msgspec.json.decode(kept)


async def test_which_version_is_answered(installation: Installation) -> None:
    """The header's, else the key's, else the newest; the answer says which."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(plugins=["inventory"])
    async with kit.http(tenant) as guest, kit.http(tenant, ["*"]) as staff:

        async def answered(client: httpx.AsyncClient, wanted: str | None = None) -> Any:
            headers = {"PSS-Version": wanted} if wanted is not None else {}
            answer = await client.get("/v1/me", headers=headers)
            return answer.headers.get("PSS-Version") if answer.is_success else answer.json()

        assert NEWEST == await answered(guest)
        assert OLDEST == await answered(guest, OLDEST)
        assert NEWEST == await answered(staff)
        assert OLDEST == await answered(staff, OLDEST)
        me = (await staff.get("/v1/me")).json()["id"]
        for stored, version in ((OLDEST, OLDEST), (None, OLDEST), ("2001-01-01", OLDEST)):
            async with installation.database.owner() as owner:
                await owner.execute(
                    "UPDATE pss.api_key SET api_version = $2 WHERE key_id = $1", me, stored
                )
            await installation.directory.refresh()
            assert version == await answered(staff)
            assert NEWEST == await answered(staff, NEWEST)
        for unknown in ("2026-11-24", "2099-01-01", "newest", ""):
            refused = await answered(staff, unknown)
            assert (400, "unknown-version") == (refused["status"], refused["code"])
            assert all(one in refused["mend"] for one in VERSIONS)
