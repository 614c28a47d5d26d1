"""What a new password must be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn.matching import L33T_TABLE, enumerate_l33t_subs, relevant_l33t_subtable

from pss_kernel.errors import Invalid
from pss_kernel.identity.accounts import rules
from pss_kernel.identity.accounts.rules import refuse_weak

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWN = ["ada.lovelace@example.com", "Ada Lovelace", "Aurelis Airways", "aurelis"]


async def refusal(password: str, minimum: int = 12) -> str:
    """The code of the field's error; empty where the password is taken."""
    try:
        await refuse_weak(password, minimum=minimum, own_words=OWN, pointer="/new_password")
    except Invalid as problem:
        refused = problem
    else:
        return ""
    (error,) = refused.errors
    assert (refused.code, error.pointer) == ("password-refused", "/new_password")
    assert password not in error.detail
    return error.code


@pytest.mark.parametrize(
    "password",
    [
        "violet harbour lantern 29",
        "correct horse battery staple",
        "тихий океан шумит вдали",
        "a" * 3 + "-quite-unrelated-words-" + "z" * 100,
        "kXq2vBn8Lw0z",
        "        eight spaces before",
    ],
)
async def test_taken(password: str) -> None:
    """Long and unrelated, in any script; no rule asks for certain characters."""
    assert await refusal(password) == ""


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("kXq2vBn8Lw0", "password-too-short"),
        ("e\u0301" * 11, "password-too-short"),  # eleven characters, however they are typed
        ("x" * 129, "password-too-long"),
        ("x" * 100_000, "password-too-long"),
        ("Football!!2024", "password-known"),
        ("123456789012", "password-too-weak"),
        ("passwordpassword", "password-too-weak"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "password-too-weak"),
        ("a" * 128, "password-too-weak"),
        ("ada.lovelace@example.com", "password-too-weak"),
        ("LovelaceAda1815", "password-too-weak"),
        ("AurelisAirways!", "password-too-weak"),
        ("Aurelis2026!", "password-too-weak"),
    ],
)
async def test_refused(password: str, code: str) -> None:
    """Each with the reason, and never with the password."""
    assert await refusal(password) == code


async def test_known_ones() -> None:
    """The frequent ones from breaches, where the tenant allows so short ones at all."""
    assert len(rules._KNOWN) == 30_000
    assert await refusal("Password1", minimum=8) == "password-known"
    assert await refusal("letmein!", minimum=8) == "password-known"


@given(st.text(alphabet="".join(sorted(rules._SYMBOLS)) + "abz ", max_size=72))
async def test_bounded(password: str) -> None:
    """No text has so many readings that looking at it takes long (zxcvbn alone: seconds)."""
    readable = rules._readable(password)
    assert len(readable) == len(password)
    readings = enumerate_l33t_subs(relevant_l33t_subtable(readable, L33T_TABLE))
    assert len(readings) <= 2 * rules._MOST_READINGS
