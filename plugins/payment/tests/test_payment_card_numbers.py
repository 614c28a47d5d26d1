"""Card numbers are found wherever they hide, and repeated nowhere."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_kernel import Invalid, new_id
from pss_payment.card_numbers import (
    looks_like_card_number,
    refuse_card_number_as_key,
    refuse_card_numbers,
)
from pss_payment.contracts import CardNumberRefused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111\u20111111\u20111111\u20111111",
        "4111.1111.1111.1111",
        "4111  1111  1111  1111",
        "card 4111 1111 1111 1111 12/27 cvc 123",
        "tok_4111111111111111",
        "\uff14111111111111111",
        "378282246310005",
        "6011 0009 9013 9424",
        "5555555555554444",
        "30569309025904",
        "6304000000000000000",
    ],
)
def test_card_numbers_are_found(text: str) -> None:
    """Grouped or not, within other text, of every length."""
    assert looks_like_card_number(text)


@pytest.mark.parametrize(
    "text",
    ["4111111111111112", "123456789", "2026-11-22", "", "tok_visa", "41111111111111111111111", "٣"],
)
def test_other_text_passes(text: str) -> None:
    """A wrong check digit, too few and too many digits are no card number."""
    assert not looks_like_card_number(text)


def test_own_ids_pass() -> None:
    """An order's id may have any digits."""
    assert not looks_like_card_number("ord_" + "4111111111111111".ljust(26, "a"))
    assert not looks_like_card_number(new_id("ord"))


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"method": {"type": "card", "token": "4111 1111 1111 1111"}}, ["/method/token"]),
        ({"metadata": {"note": "4111111111111111"}}, ["/metadata/note"]),
        ({"metadata": {"4111111111111111": "x"}}, ["/metadata"]),
        ({"unknown": [0, [4111111111111111]]}, ["/unknown/1/0"]),
        ({"a/b": 4111111111111111.0}, ["/a~1b"]),
        ({"x": "4111111111111111", "y": "5555555555554444"}, ["/x", "/y"]),
    ],
)
def test_refused_with_every_place(body: object, pointers: list[str]) -> None:
    """Every place is named, and the number itself is in no part of the refusal."""
    with pytest.raises(CardNumberRefused) as refusal:
        refuse_card_numbers(json.dumps(body).encode())
    assert pointers == [error.pointer for error in refusal.value.errors]
    said = f"{refusal.value} {refusal.value.errors} {refusal.value.detail}"
    assert "4111" not in said
    assert "5555" not in said


@pytest.mark.parametrize(
    "body",
    [
        b'{"token": "4111111111111111", "token": "tok_visa"}',
        b'{"token": "\\u0034111111111111111"}',
        b'{"token": "4111\\u20111111\\u20111111\\u20111111"}',
        b'{"token": 4.111111111111111e15, "note": 4111111111111111.0}',
    ],
)
def test_no_spelling_hides_it(body: bytes) -> None:
    """A repeated key, an escape or a decimal point makes no difference."""
    with pytest.raises(CardNumberRefused):
        refuse_card_numbers(body)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"4111 1111", b"[" * 39_000])
def test_what_is_no_json_passes(body: bytes) -> None:
    """What nobody can read is refused elsewhere."""
    refuse_card_numbers(body)


def test_too_long() -> None:
    """A body that no payment can have is not looked through."""
    with pytest.raises(Invalid) as refusal:
        refuse_card_numbers(b'"' + b"1" * 40_000 + b'"')
    assert "too-large" == refusal.value.code


@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_refused(body: bytes) -> None:
    """No bytes make the search fail otherwise."""
    with contextlib.suppress(CardNumberRefused):
        refuse_card_numbers(body)


@given(JSON)
def test_any_body_passes_or_is_refused(body: object) -> None:
    """No JSON makes the search fail otherwise."""
    try:
        refuse_card_numbers(json.dumps(body).encode())
    except CardNumberRefused as refusal:
        pointers = [error.pointer for error in refusal.errors]
    else:
        return
    assert pointers


@pytest.mark.parametrize("text", ["1" * 100_000, "1 " * 50_000, "1   " * 25_000 + "x"])
def test_long_runs_are_looked_through(text: str) -> None:
    """The work grows with the length alone; squared, the time limit of the suite would end it."""
    assert not looks_like_card_number(text)


@pytest.mark.parametrize("key", ["4111111111111111", "pay-4111 1111 1111 1111"])
def test_no_card_number_is_a_key(key: str) -> None:
    """Idempotency-Keys are kept, so one that looks like a card number is refused, unrepeated."""
    with pytest.raises(CardNumberRefused) as refusal:
        refuse_card_number_as_key(key)
    assert "4111" not in f"{refusal.value} {refusal.value.detail}"


@pytest.mark.parametrize("key", [None, "k1", "41111111-1111-4111-8111-111111111111"])
def test_other_keys_pass(key: str | None) -> None:
    """A UUID may have any digits."""
    refuse_card_number_as_key(key)


def test_amounts_pass() -> None:
    """Zeros after the point make an amount no card number; without the point it may be one."""
    body = '{"amount": {"amount": "%s", "currency": "EUR"}}'
    assert looks_like_card_number("208.0000000000000000")
    refuse_card_numbers((body % "208.0000000000000000").encode())
    for number in ("4111111111111111", "4111.111111111111"):
        with pytest.raises(CardNumberRefused):
            refuse_card_numbers((body % number).encode())


def test_a_time_in_milliseconds_passes() -> None:
    """Many clients use one as Idempotency-Key; none of them begins as a card number does."""
    for moment in range(1_795_000_000_000, 1_795_000_000_200):
        refuse_card_number_as_key(str(moment))
