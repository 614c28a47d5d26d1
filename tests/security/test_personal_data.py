"""What is kept about people is said by each plugin, told to them, and erased on their demand."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from pss_kernel import Personal
from pss_kernel.cli._context import installed_plugins
from pss_kernel.cli._main import main
from pss_kernel.config import Config
from pss_kernel.errors import Conflict
from pss_kernel.leaving._protection import protection_of
from pss_kernel.observability import configure_logging
from pss_kernel.persistence._migrations import revisions_of, tables_made
from pss_kernel.personal._persons import erase_persons, export_persons, persons_of
from pss_kernel.personal.contracts import PersonQuery
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._contents import tables_of
from pss_kernel.testing import TestKit
from pss_outside.airlines import AURELIS
from pss_outside.traveller import Traveller, credentials

pytestmark = pytest.mark.xdist_group("personal")

CANARIES = {
    "given name": "Zwiebelfisch",
    "family name": "Rohrdommel",
    "e-mail address": "zwiebel.fisch@example.org",
    "telephone": "+43660555019",
    "date of birth": "1971-03-09",
    "document": "QX7730951",
    "card token": "tok_visa",
}
_AT_ONCE = {"title": "Ms", "type": "adult"}
_DOCUMENT = {
    "type": "passport", "number": CANARIES["document"], "country": "AT", "expires_on": "2031-01-01",
}  # fmt: skip


@dataclass
class Travelled:
    """An order of somebody with all that can be known, at the end of its way."""

    kit: TestKit
    tenant: Tenant
    order: dict[str, Any]
    log: str = ""

    @property
    def query(self) -> PersonQuery:
        """As the passenger says who they are."""
        return PersonQuery(
            reference=self.order["booking_reference"],
            family_name=CANARIES["family name"],
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def travelled(installation: Any, tenants_folder: Path) -> AsyncIterator[Travelled]:
    """Booked, paid, eaten on, checked in and boarded."""
    kit = TestKit(installation)
    tenant = await kit.apply(tenants_folder / AURELIS, code="recorded")
    log, stderr = io.StringIO(), sys.stderr
    sys.stderr = log
    configure_logging(Config(data_dir=Path(), log_level="debug", log_format="json"))
    try:
        order = await _journey(kit, tenant)
    finally:
        sys.stderr = stderr
        configure_logging(installation.config)
    yield Travelled(kit, tenant, order, log.getvalue())


async def _journey(kit: TestKit, tenant: Tenant) -> dict[str, Any]:
    async with kit.http(tenant) as anybody, kit.http(tenant, ["*"]) as desk:
        guest = Traveller(anybody, settle=lambda: kit.deliver(tenant))
        staff = Traveller(desk)
        offer = await guest.bookable("LHR", "ATH", segments=2)
        somebody = _AT_ONCE | {
            "given_name": CANARIES["given name"],
            "family_name": CANARIES["family name"],
            "born_on": CANARIES["date of birth"],
            "email": CANARIES["e-mail address"],
            "phone": CANARIES["telephone"],
            "documents": [_DOCUMENT],
        }
        order = await guest.ticketed(offer, passengers=[somebody])
        passenger = order["passengers"][0]["id"]
        segment = order["slices"][0]["segments"][0]
        meal = {"type": "meal", "code": "VGML", "passenger_id": passenger,
                "segment_id": segment["id"]}  # fmt: skip
        path = f"/orders/{order['id']}/services"
        assert 201 == (await guest.post(path, meal, **credentials(order))).status_code
        bags = [{"passenger_id": passenger, "pieces": 1}]
        answer = await guest.check_in(order, bags=bags)
        assert 201 == answer.status_code, answer.text
        scan = {"bcbp": answer.json()["boarding_passes"][0]["bcbp"]}
        await staff.post(f"/flights/{segment['flight_id']}/boardings", scan)
        await kit.deliver(tenant)
        await _mistakes(guest, staff, order)
        return order


async def _mistakes(guest: Traveller, staff: Traveller, order: dict[str, Any]) -> None:
    """Each plugin refuses something that has people's data in it."""
    wrong = {"given_name": CANARIES["given name"], "family_name": CANARIES["document"]}
    for who, path, body in (
        (guest, "/orders", {"offer_id": CANARIES["given name"], "passengers": [wrong]}),
        (guest, "/orders", {"passengers": [wrong | {"born_on": CANARIES["family name"]}]}),
        (guest, "/orders", [CANARIES["e-mail address"]]),
        (guest, "/payments", {"order_id": order["id"], "amount": CANARIES["card token"]}),
        (guest, "/check-ins", credentials(order) | {"documents": CANARIES["document"]}),
        (guest, "/offer-requests", {"slices": CANARIES["given name"]}),
        (staff, f"/orders/{order['id']}/services", {"type": CANARIES["family name"]}),
        (staff, "/persons/exports", {"email": CANARIES["e-mail address"], "name": 1}),
        (staff, "/flights/flt_1/boardings", {"bcbp": CANARIES["given name"]}),
    ):
        answer = await who.post(path, body)
        assert 400 <= answer.status_code < 500, (path, answer.text)
    lost = {"booking_reference": "ZZZZZZ", "family_name": CANARIES["family name"]}
    assert 404 == (await guest.http.get("/v1/orders", params=lost)).status_code


async def _found(travelled: Travelled) -> dict[str, set[str]]:
    """Where canaries stand in clear: ``table.column`` to which of them."""
    found: dict[str, set[str]] = {}
    tenant = travelled.tenant
    async with travelled.kit.installation.cell(tenant).owner() as owner:
        for table in await tables_of(owner, tenant.schema):
            rows = await owner.fetch(f'SELECT * FROM "{tenant.schema}"."{table.name}"')
            for row in rows:
                for column, value in row.items():
                    raw = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                    text = str(raw).casefold()
                    for what, canary in CANARIES.items():
                        if canary.casefold() in text:
                            found.setdefault(f"{table.name}.{column}", set()).add(what)
    return found


def _declared(registry: Registry) -> set[str]:
    return {
        f"{table.name}.{column}"
        for plugin in registry.plugins.values()
        for table in plugin.personal
        for column in table.columns
    }


# The kernel's own, for a day: answers that are kept for repeated requests.
_ANSWERS = "idempotency.body"


async def test_what_a_journey_leaves_is_declared(travelled: Travelled) -> None:
    """Each column in which something about a person was written stands in a manifest."""
    found = await _found(travelled)
    assert "order_passenger.family_name" in found
    declared = _declared(travelled.kit.installation.registry)
    assert {} == {
        place: what for place, what in found.items() if place not in {*declared, _ANSWERS}
    }


def test_personal_columns_have_an_answer(installation: Any) -> None:
    """A plugin with a column of the type Personal says in its manifest what becomes of it."""
    registry: Registry = installation.registry
    sealed = {
        f"{table}.{column}"
        for name in registry.plugins
        for table in tables_made(revisions_of(registry.migrations_of(name)))
        for column, how in protection_of(registry, name, table).items()
        if how == "encrypted" and name != "identity"
    }
    assert {"order_passenger.personal", "check_in.sealed_document"} <= sealed
    assert set() == sealed - _declared(registry)
    assert Personal.__name__ == "Personal"


def test_each_declared_column_is_erased_or_kept_for_a_reason(installation: Any) -> None:
    """Exactly one of: its rows go, something takes its place, its key goes, it is kept."""
    registry: Registry = installation.registry
    wrong = []
    for name, plugin in registry.plugins.items():
        made = tables_made(revisions_of(registry.migrations_of(name))) if plugin.personal else set()
        for table in plugin.personal:
            sealed = protection_of(registry, name, table.name)
            for column in table.columns:
                ways = (
                    table.rows_go,
                    column in table.erased,
                    sealed.get(column) == "encrypted",
                    bool(table.kept.get(column)),
                )
                if sum(ways) != 1:
                    wrong.append(f"{name} {table.name}.{column}: {ways}")
            if table.name not in made:
                wrong.append(f"{name} has no table {table.name}")
    assert [] == wrong


async def test_a_person_is_told_everything(travelled: Travelled) -> None:
    """By reference and name, by e-mail address, by id: what is sealed opened, over HTTP too."""
    kit, tenant = travelled.kit, travelled.tenant
    passenger = travelled.order["passengers"][0]["id"]
    for query in (
        travelled.query,
        PersonQuery(email=CANARIES["e-mail address"].upper()),
        PersonQuery(id=passenger),
    ):
        async with kit.unit_of_work(tenant) as uow:
            assert [passenger] == await persons_of(uow, query)
    async with kit.unit_of_work(tenant) as uow:
        records = await export_persons(uow, [passenger])
    told = json.dumps([record.data for record in records])
    assert {what for what, canary in CANARIES.items() if canary in told} >= CANARIES.keys() - {
        "card token"
    }
    assert {"reservation", "ticketing", "dcs", "boarding", "meals"} <= {
        record.plugin for record in records
    }
    async with kit.http(tenant, ["identity:persons-manage"]) as http:
        answer = await http.post("/v1/persons/exports", json={"id": passenger})
        assert (201, len(records)) == (answer.status_code, len(answer.json()["records"]))
        answer = await http.post("/v1/persons/exports", json={"email": "nobody@example.org"})
        assert (404, "no-such-person") == (answer.status_code, answer.json()["code"])
        assert 422 == (await http.post("/v1/persons/exports", json={})).status_code
    async with kit.http(tenant, ["reservation:*", "dcs:*"]) as http:
        for path in ("exports", "erasures"):
            answer = await http.post(f"/v1/persons/{path}", json={"id": passenger})
            assert 403 == answer.status_code


async def test_special_categories_are_for_few(travelled: Travelled) -> None:
    """Staff see that there is a meal, and which one only with a right of its own; guests theirs."""
    order = travelled.order
    for scopes, shown in (
        (["reservation:read", "meals:read"], {"***"}),
        (["reservation:read", "reservation:special", "meals:read", "meals:special"], {"VGML"}),
        (None, {"VGML"}),
    ):
        own = {} if scopes else credentials(order)
        async with travelled.kit.http(travelled.tenant, scopes) as http:
            seen = await http.get(f"/v1/orders/{order['id']}", params=own)
            meals = await http.get(f"/v1/meals/{order['id']}", params=own)
        assert shown == {one["code"] for one in seen.json()["services"]}
        assert shown == {one["code"] for one in meals.json()["data"]}
    permissions = travelled.kit.installation.registry.permissions
    assert permissions["meals:special"].special
    assert permissions["reservation:special"].special


async def test_no_line_of_the_log_names_anybody(travelled: Travelled) -> None:
    """Nothing of the journey and the mistakes made on it is in what was logged for debugging."""
    assert "request_failed" not in travelled.log
    assert len(travelled.log.splitlines()) > 0
    assert [] == [what for what, canary in CANARIES.items() if canary in travelled.log]


async def test_nobody_is_erased_before_the_journey_ends(travelled: Travelled) -> None:
    """A dry run says so as well; nothing has changed."""
    async with travelled.kit.unit_of_work(travelled.tenant) as uow:
        persons = await persons_of(uow, travelled.query)
        with pytest.raises(Conflict, match="A journey lies ahead") as caught:
            await erase_persons(uow, persons, dry_run=True)
    assert "erasure-refused" == caught.value.code


@pytest.fixture
def _home(travelled: Travelled, monkeypatch: pytest.MonkeyPatch) -> None:
    config = travelled.kit.installation.config
    monkeypatch.setenv("PSS_DATA_DIR", str(config.data_dir))
    installed_plugins.cache_clear()


@pytest.mark.usefixtures("_home")
async def test_erased_but_for_what_must_be_kept(
    travelled: Travelled,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A year later no canary is left but where a manifest says why; audit_entry has ids."""
    kit, tenant = travelled.kit, travelled.tenant
    await _a_year_passes(travelled)

    async def pss(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pss", *words, "--tenant", tenant.code])

        def run() -> int:
            with pytest.raises(SystemExit) as ended:
                main()
            return int(ended.value.code or 0)

        return await asyncio.to_thread(run), capsys.readouterr().out

    reference = travelled.order["booking_reference"]
    who = ("--reference", reference, "--family-name", CANARIES["family name"])
    code, told = await pss("person", "export", *who)
    assert (0, True) == (code, CANARIES["document"] in told)
    code, planned = await pss("person", "erase", *who, "--dry-run")
    assert (0, True) == (code, "accounting records" in planned)
    assert "order_passenger.family_name" in await _found(travelled)  # still

    with capture_logs() as lines:
        code, done = await pss("person", "erase", *who, "--yes")
    assert (0, planned.replace("would be", "is").split()) == (code, done.split())
    kept = {
        f"{table.name}.{column}"
        for plugin in kit.installation.registry.plugins.values()
        for table in plugin.personal
        for column in table.kept
    }
    left = await _found(travelled)
    assert {"ticket.passenger_name"} == left.keys()
    assert left.keys() <= kept
    assert not any(canary in str(lines) for canary in CANARIES.values())

    async with kit.http(tenant) as http:  # nobody finds the order by that name any more
        answer = await http.get("/v1/orders", params=credentials(travelled.order))
        assert 404 == answer.status_code
    async with kit.http(tenant, ["*"]) as http:
        answer = await http.get(f"/v1/orders/{travelled.order['id']}")
        assert [True] == [one["erased"] for one in answer.json()["passengers"]]
        answer = await http.get("/v1/audit-entries", params={"action": "person.erased"})
        subjects = [one["subject"] for one in answer.json()["data"]]
        assert [travelled.order["passengers"][0]["id"]] == subjects
    assert 2 == (await pss("person", "erase", *who, "--yes"))[0]  # nobody is known by that


async def _a_year_passes(travelled: Travelled) -> None:
    """For this order: its flights were a year ago."""
    year = int(travelled.order["slices"][0]["segments"][0]["departing_at"][:4])
    schema = travelled.tenant.schema
    async with travelled.kit.installation.cell(travelled.tenant).owner() as owner:
        await owner.execute(
            f"UPDATE {schema}.orders SET offer = replace(replace(offer::text, '{year + 1}-', "
            f"'{year}-'), '{year}-', '{year - 1}-')::jsonb, departs_at = departs_at - "
            "interval '1 year'"
        )
        await owner.execute(
            f"UPDATE {schema}.idempotency SET claimed_at = claimed_at - interval '1 year'"
        )
