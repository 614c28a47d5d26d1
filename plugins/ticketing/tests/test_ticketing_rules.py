"""Numbers, coupons and ledger entries: the rules, without a database."""

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_kernel import Conflict, Invalid, Money
from pss_payment.contracts import Entry
from pss_pricing.contracts import (
    Conditions,
    PassengerPrice,
    PriceBreakdown,
    SoldFare,
    TaxLine,
)
from pss_reservation.contracts import Order, OrderPassenger, OrderSegment, OrderSlice
from pss_ticketing.contracts import CouponStatus
from pss_ticketing.coupons import check_move, conjunctions, ticket_status
from pss_ticketing.numbers import check_digit, is_ticket_number, ticket_number
from pss_ticketing.reconciliation import DocumentTotals, disagreement
from pss_ticketing.sale import (
    Amounts,
    amounts_of,
    draft_tickets,
    entries_of_issue,
)
from pss_ticketing.settings import Settings

VECTORS = Path(__file__).parents[4] / "shared/vectors/eticket"
MINOR = st.integers(0, 10**9)


def test_a_ticket_number_is_accounting_code_and_ten_digits() -> None:
    """The serial is padded to ten digits behind the accounting code."""
    assert ticket_number("991", 42) == "9910000000042"


@pytest.mark.parametrize(("code", "serial"), [("99", 1), ("99A", 1), ("٩٩١", 1), ("991", 10**10)])
def test_a_number_outside_the_form_is_refused(code: str, serial: int) -> None:
    """Anything but three ASCII digits and a serial of ten raises Invalid."""
    with pytest.raises(Invalid):
        ticket_number(code, serial)


def test_the_thirteenth_digit_is_no_check_digit() -> None:
    """Consecutive serials are both ticket numbers, whatever their last digit."""
    assert [is_ticket_number(n) for n in ("0062120234533", "0062120234534")] == [True, True]


@pytest.mark.parametrize("text", ["", "123", "99100000000421", "99100000000४२", "9910000000 42"])
def test_other_text_is_no_ticket_number(text: str) -> None:
    """Only thirteen ASCII digits are a ticket number."""
    assert is_ticket_number(text) is False


@given(st.text(alphabet="0123456789", min_size=1, max_size=40))
def test_the_check_digit_is_the_whole_number_modulo_seven(digits: str) -> None:
    """Modulus 7 works on the number, not on the sum of its digits."""
    assert int(digits) % 7 == check_digit(digits)


@given(st.text(max_size=20))
def test_any_text_gives_a_check_digit_or_invalid(text: str) -> None:
    """Text that is no number raises Invalid and nothing else."""
    try:
        assert check_digit(text) in range(7)
    except Invalid:
        assert not (text.isascii() and text.isdigit())


@pytest.mark.skipif(not VECTORS.exists(), reason="the shared vectors are not beside the project")
def test_published_check_digits() -> None:
    """The published numbers have the check digit that modulus 7 gives."""
    lines = "\n".join(path.read_text() for path in sorted(VECTORS.iterdir())).splitlines()
    checked = 0
    for line in lines:
        digits, _, verdict = line.partition("\t")
        if not digits.isdigit():
            continue
        checked += 1
        if verdict.isdigit():
            assert int(verdict) == check_digit(digits)
        else:
            assert (verdict == "VALID") == (int(digits[-1]) == check_digit(digits[:-1]))
    assert checked > 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("open", "checked_in"),
        ("checked_in", "flown"),
        ("checked_in", "open"),
        ("open", "refunded"),
        ("open", "void"),
    ],
)
def test_the_life_of_a_coupon(before: CouponStatus, after: CouponStatus) -> None:
    """These are the steps of a coupon."""
    check_move(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("open", "flown"),
        ("flown", "open"),
        ("flown", "refunded"),
        ("refunded", "open"),
        ("void", "open"),
        ("checked_in", "refunded"),
        ("open", "open"),
    ],
)
def test_a_step_a_coupon_never_takes(before: CouponStatus, after: CouponStatus) -> None:
    """Every other step is refused under its own code."""
    with pytest.raises(Conflict) as refused:
        check_move(before, after)
    assert refused.value.code == "coupon-transition"


@given(st.lists(st.integers(), max_size=30))
def test_conjunctions_keep_every_segment_in_order(segments: list[int]) -> None:
    """At most four coupons a ticket, all but the last full, nothing lost."""
    groups = conjunctions(segments)
    assert segments == [segment for group in groups for segment in group]
    assert all(len(group) == 4 for group in groups[:-1])
    assert all(1 <= len(group) <= 4 for group in groups)


@pytest.mark.parametrize(
    ("coupons", "status"),
    [
        (["open", "flown"], "open"),
        (["checked_in"], "open"),
        (["flown", "refunded"], "flown"),
        (["refunded", "refunded"], "refunded"),
        (["void"], "void"),
    ],
)
def test_what_a_ticket_s_coupons_say_about_it(coupons: list[CouponStatus], status: str) -> None:
    """A ticket is open while one coupon may be used."""
    assert status == ticket_status(coupons)


def order_of(segment_count: int) -> Order:
    """Order for an adult and an infant, on one slice of so many segments."""
    departure = datetime(2026, 11, 23, 6, tzinfo=UTC)
    segments = [
        OrderSegment(
            id=f"seg_{number}",
            flight_id=f"flt_{number}",
            flight=f"Q1{number}",
            carrier="Q1",
            flight_number=str(number),
            flight_date=date(2026, 11, 23),
            origin="VIE",
            destination="LHR",
            departing_at=departure,
            departing_at_utc=departure,
            departing_time_zone="UTC",
            arriving_at=departure,
            arriving_at_utc=departure,
            arriving_time_zone="UTC",
            aircraft_type="320",
            cabin="economy",
            booking_class="K",
            fare_basis="KADULT",
        )
        for number in range(1, segment_count + 1)
    ]
    tax = TaxLine(code="AT", country="AT", description="", amount=Money.of(1200, "EUR"))
    prices = [
        PassengerPrice(
            type="adult",
            count=1,
            base=Money.of(10000, "EUR"),
            taxes=[tax],
            total=Money.of(11200, "EUR"),
        ),
        PassengerPrice(
            type="infant",
            count=1,
            base=Money.of(1000, "EUR"),
            taxes=[],
            total=Money.of(1000, "EUR"),
        ),
    ]
    return Order(
        id="ord_1",
        booking_reference="ABC234",
        status="confirmed",
        total=Money.of(12200, "EUR"),
        payment_required_by=None,
        created_at=departure,
        passengers=[
            OrderPassenger(id="pax_1", type="adult", given_name="Max", family_name="Muster"),
            OrderPassenger(id="pax_2", type="infant", given_name="Ida", family_name="Muster"),
        ],
        slices=[OrderSlice(origin="VIE", destination="LHR", segments=segments)],
        brand="Light",
        brand_code="LIGHT",
        price_breakdown=PriceBreakdown(
            base=Money.of(11000, "EUR"),
            taxes=Money.of(1200, "EUR"),
            total=Money.of(12200, "EUR"),
            passengers=prices,
        ),
        conditions=Conditions(
            refundable=True,
            cancellation_fee=None,
            changeable=False,
            change_fee=None,
            checked_bags=0,
            seat_selection="paid",
        ),
    )


def test_every_passenger_has_a_ticket_infants_too() -> None:
    """Five segments make a ticket of four coupons and one of one, for each passenger."""
    drafts = draft_tickets(order_of(5), [])
    assert [(draft.passenger_id, draft.conjunction, len(draft.segments)) for draft in drafts] == [
        ("pax_1", 1, 4),
        ("pax_1", 2, 1),
        ("pax_2", 1, 4),
        ("pax_2", 2, 1),
    ]


def test_tickets_are_worth_what_was_paid() -> None:
    """The value of a conjunction stands once; all tickets add up to the order's total."""
    amounts = amounts_of(draft_tickets(order_of(5), []))
    assert Amounts(base_minor=11000, tax_minor=1200) == amounts


def test_a_passenger_type_s_own_fare_basis_is_on_the_coupon() -> None:
    """The fare basis sold to the type wins over the segment's."""
    sold = SoldFare(
        passenger_type="infant",
        slice_index=0,
        segment_ids=["seg_1"],
        fare_basis="KIN90",
        currency="EUR",
        base_minor=1000,
        taxes=[],
        refundable=True,
        cancellation_fee_minor=0,
        changeable=False,
        change_fee_minor=0,
    )
    drafts = draft_tickets(order_of(1), [sold])
    assert [draft.fare_bases for draft in drafts] == [["KADULT"], ["KIN90"]]


def total(entries: list[Entry], account: str) -> int:
    """Give the balance of an account over entries, debit minus credit."""
    return sum(e.debit_minor - e.credit_minor for e in entries if e.account == account)


@given(MINOR, MINOR)
def test_an_issue_balances(base: int, tax: int) -> None:
    """Deposits pay for revenue and taxes, to the last minor unit."""
    entries = entries_of_issue(Amounts(base_minor=base, tax_minor=tax))
    assert sum(entry.debit_minor - entry.credit_minor for entry in entries) == 0
    assert base + tax == total(entries, "customer_deposits")


ISSUED = DocumentTotals(base_minor=100, tax_minor=20, usable=2)
EARNED = {"ticket_revenue": -100, "tax_payable": -20, "gateway_clearing": 120}


@pytest.mark.parametrize(
    ("status", "totals", "balance"),
    [
        ("issued", ISSUED, EARNED),
        ("cancelled", DocumentTotals(base_minor=100, ended=2), {"penalty_revenue": -50}),
        ("cancelled", DocumentTotals(), {}),
    ],
)
def test_money_and_documents_agree(
    status: str, totals: DocumentTotals, balance: dict[str, int]
) -> None:
    """These orders are in order."""
    assert disagreement(status, totals, balance, settled=True) is None


@pytest.mark.parametrize(
    ("status", "totals", "balance"),
    [
        ("failed", DocumentTotals(), {"customer_deposits": -120}),
        ("issued", ISSUED, {**EARNED, "ticket_revenue": -99}),
        ("issued", ISSUED, {**EARNED, "customer_deposits": -5}),
        ("issued", DocumentTotals(base_minor=100, tax_minor=20, usable=1, ended=1), EARNED),
        ("cancelled", ISSUED, {}),
        ("cancelled", DocumentTotals(ended=2), {"tax_payable": -20}),
    ],
)
def test_money_and_documents_disagree(
    status: str, totals: DocumentTotals, balance: dict[str, int]
) -> None:
    """These are reported at once."""
    assert disagreement(status, totals, balance, settled=False) is not None


@pytest.mark.parametrize("status", ["due", "cancelled"])
def test_what_is_on_its_way_is_reported_only_when_settled(status: str) -> None:
    """Documents or a refund still coming are no disagreement; later they are."""
    found = [
        disagreement(status, DocumentTotals(), {"customer_deposits": -120}, settled=settled)
        for settled in (False, True)
    ]
    assert [one is not None for one in found] == [False, True]


@pytest.mark.parametrize(
    "settings",
    [{"accounting_code": "99"}, {"first_serial": 5, "last_serial": 4}, {"last_serial": 10**10}],
)
def test_settings_that_cannot_give_numbers_are_refused(settings: dict[str, object]) -> None:
    """A range without a number, or beyond ten digits, is refused when it is set."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, Settings)
