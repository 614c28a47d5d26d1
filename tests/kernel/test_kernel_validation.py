"""Every failing field of a value at once; and never a complaint about what is accepted."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal, NewType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from pss_kernel import Invalid, Money, exponent, round_share
from pss_kernel.ids import check_id, new_id
from pss_kernel.validation import explain


class Colour(enum.Enum):
    red = "red"
    blue = "blue"


class Inner(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    n: Annotated[int, Meta(ge=0, le=9)]
    name: Annotated[str, Meta(pattern="^[a-z]+$", max_length=5)] = "x"


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    tricks: list[str]


class Even(msgspec.Struct):
    n: int

    def __post_init__(self) -> None:
        if self.n % 2:
            raise ValueError("n must be even")


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str
    odd_key: int = msgspec.field(name="a/b~c", default=1)


class Pair(msgspec.Struct, array_like=True):
    left: int
    right: str


Code = NewType("Code", str)

TYPES: list[Any] = [
    int, float, str, bool, None, bytes, Any,
    Annotated[int, Meta(gt=1, lt=5)], Annotated[int, Meta(multiple_of=3)],
    Annotated[float, Meta(ge=0)], Annotated[str, Meta(min_length=2)],
    dt.date, dt.time, dt.timedelta, dt.datetime,
    Annotated[dt.datetime, Meta(tz=True)], decimal.Decimal, uuid.UUID,
    Colour, Literal["a", "b", 3], Code,
    list[int], set[int], frozenset[str], tuple[int, str], tuple[int, ...], list,
    Annotated[list[Annotated[int, Meta(ge=0)]], Meta(min_length=1, max_length=2)],
    Annotated[tuple[int, ...], Meta(max_length=1)],
    dict[str, int], dict[int, str], dict[str, list[Inner]], dict,
    Annotated[dict[str, int], Meta(max_length=1)], dict[Annotated[str, Meta(max_length=1)], int],
    int | None, int | str | None, list[int] | Inner | None, Colour | int, Cat | Dog, Cat,
    Inner, Even, Renamed, Pair, list[Even], dict[str, Cat | Dog],
]  # fmt: skip

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
    | st.sampled_from(["", "a", "b", "red", "abcdef", "aGk=", "1", "cat", "dog", "2026-01-02",
                       "2026-01-02T03:04:05Z", "2026-01-02T03:04:05", "03:04:05", "PT5M",
                       "1.5", str(uuid.UUID(int=7)), "nul\0", "é"])
)  # fmt: skip
_KEYS = st.sampled_from(
    ["n", "name", "type", "lives", "tricks", "firstName", "first_name", "a/b~c", "1", "key"]
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3)
)


_KINDS = st.sampled_from(TYPES).flatmap(
    lambda kind: st.sampled_from(
        [kind, list[kind], dict[str, kind], tuple[kind, int], kind | None if kind else kind]
    )
)


def _accepts(value: Any, kind: Any) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(value=_VALUES, kind=_KINDS)
def test_silent_exactly_where_msgspec_accepts(value: Any, kind: Any) -> None:
    """Nothing to say about what decodes from JSON, something about what does not."""
    assert _accepts(value, kind) == (not explain(value, kind))


@settings(max_examples=200, deadline=None)
@given(value=_VALUES, kind=_KINDS)
def test_pointers_lead_to_the_place(value: Any, kind: Any) -> None:
    """Each pointer (RFC 6901) leads to a value that is there, or to a missing field."""
    for error in explain(value, kind):
        here = value
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in error.pointer.split("/")[1:]
        ] or [""]
        for part in parents:
            here = here[int(part)] if isinstance(here, list) else here[part]
        if error.code == "required":
            assert last not in here
        elif last:
            assert int(last) < len(here) if isinstance(here, list) else last in here
        assert error.detail.endswith(".")


def _pointers(value: Any, kind: Any) -> dict[str, str]:
    return {error.pointer: error.code for error in explain(value, kind)}


def test_every_field_at_once() -> None:
    """Wrong, missing and unknown ones, in lists and tables, all with their pointers."""
    value = [{"n": 10, "name": "UP"}, {"name": "toolong", "odd": 1}, {"n": "x"}, 7, {"n": 1}]
    assert {
        "/0/n": "invalid",
        "/0/name": "invalid",
        "/1/n": "required",
        "/1/name": "invalid",
        "/1/odd": "unknown-field",
        "/2/n": "invalid",
        "/3": "invalid",
    } == _pointers(value, list[Inner])


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ({"firstName": 1, "a/b~c": "x"}, Renamed, {"/firstName", "/a~1b~0c"}),
        ({"a": {"n": -1}}, dict[str, Inner], {"/a/n"}),
        ({"a": 1, "b": 2}, Annotated[dict[str, int], Meta(max_length=1)], {""}),
        ({"ab": 1}, dict[Annotated[str, Meta(max_length=1)], int], {"/ab"}),
        ([1, 2, 3], Annotated[list[int], Meta(max_length=2)], {""}),
        ([], Annotated[list[int], Meta(min_length=1)], {""}),
        ([1, "x", 2, "y"], tuple[int, ...], {"/1", "/3"}),
        (["x", 1], tuple[int, str], {"/0", "/1"}),
        ([1], tuple[int, str], {""}),
        (["x", "y"], set[int], {"/0", "/1"}),
        ({"type": "cat", "lives": "nine"}, Cat | Dog, {"/lives"}),
        ({"type": "cow"}, Cat | Dog, {"/type"}),
        ({"lives": 9}, Cat | Dog, {"/type"}),
        ([{"n": 2}, {"n": 3}], list[Even], {"/1"}),
        ("x", int | None, {""}),
        ({"n": None}, Inner, {"/n"}),
        (None, Inner, {""}),
    ],
)
def test_places(value: Any, kind: Any, expected: set[str]) -> None:
    """The place of each error, in every kind of container."""
    assert expected == {error.pointer for error in explain(value, kind)}


def test_a_prefix() -> None:
    """Pointers begin where the caller says."""
    assert ["/plugins/notes/n"] == [
        one.pointer for one in explain({}, Inner, pointer="/plugins/notes")
    ]


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [
        (12345, "EUR", "123.45"), (5, "EUR", "0.05"), (-5, "EUR", "-0.05"), (0, "EUR", "0.00"),
        (1200, "JPY", "1200"), (1234, "KWD", "1.234"), (10**14 - 1, "JPY", "99999999999999"),
    ],
)  # fmt: skip
def test_money_both_ways(minor: int, currency: str, amount: str) -> None:
    """Minor units and text, by each currency's exponent."""
    money = Money.of(minor, currency)
    assert (amount, minor) == (money.amount, money.minor)


@given(st.integers(1 - 10**14, 10**14 - 1), st.sampled_from(["EUR", "JPY", "KWD", "USD", "CLF"]))
def test_money_keeps_every_amount(minor: int, currency: str) -> None:
    """Whatever the amount, text gives back the same minor units."""
    assert minor == Money.of(minor, currency).minor


@pytest.mark.parametrize(
    "amount",
    ["", " ", "1.234", "NaN", "Infinity", "1e2", "1E400", "1e999999999", "1_000", "1,00", "٣",
     "--1", "1.", ".5", "0x10", "9" * 30, "9" * 100_000],
)  # fmt: skip
def test_money_that_is_none(amount: str) -> None:
    """Text that is no amount of the currency is Invalid, at once."""
    with pytest.raises(Invalid):
        _ = Money(amount, "EUR").minor


@given(st.text(max_size=20))
def test_money_from_any_text(amount: str) -> None:
    """Any text is an amount or Invalid."""
    with contextlib.suppress(Invalid):
        assert isinstance(Money(amount, "EUR").minor, int)


@pytest.mark.parametrize("currency", ["", "eur", "XXXX", "E", "ZZZ", "€"])
def test_unknown_currencies(currency: str) -> None:
    """A code that ISO 4217 does not list."""
    with pytest.raises(Invalid) as caught:
        exponent(currency)
    assert "unknown-currency" == caught.value.code


@given(
    st.integers(-(10**12), 10**12),
    st.fractions(min_value=0, max_value=2, max_denominator=10**30),
)
def test_shares_round_half_up(minor: int, share: Any) -> None:
    """Never more than half a unit off, and at the half away from zero; signs mirror."""
    rounded = round_share(minor, share)
    off = abs(rounded) - abs(minor) * share
    assert -1 < off * 2 <= 1
    assert rounded == -round_share(-minor, share)


def test_shares_just_below_the_half() -> None:
    """One part in 10^40 below the half rounds down: no digit is lost on the way."""
    share = decimal.Decimal("0.5") - decimal.Decimal("1e-27")
    assert (0, 1) == (round_share(1, share), round_share(1, decimal.Decimal("0.5")))


def test_ids() -> None:
    """Prefixed, time-ordered, of one length; another kind or form is NotFound."""
    made = [new_id("note") for _ in range(100)]
    assert {31} == {len(one) for one in made}
    assert made[0] == check_id("note", made[0])
    assert 100 == len(set(made))
    for wrong in ("", "note", "note_", made[0] + "0", made[0].upper(), made[0].replace("n", "N", 1),
                  f"other_{made[0][5:]}", made[0][:-1] + "\0", made[0][:-1] + "u"):  # fmt: skip
        with pytest.raises(Exception, match="There is no 'note'"):
            check_id("note", wrong)
