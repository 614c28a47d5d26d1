"""What a new password must be: long, and not one that others would guess.

As NIST SP 800-63B and OWASP ASVS 5.0 (6.2) have it: a minimum length, no rules about which
characters, no expiry; refused where it is known from breaches (the 30,000 most frequent ones that
zxcvbn brings, so that nothing is asked of anybody) or where zxcvbn finds it easy to guess, also by
what is known about its owner.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from math import prod

from zxcvbn import zxcvbn
from zxcvbn.frequency_lists import FREQUENCY_LISTS
from zxcvbn.matching import L33T_TABLE

from pss_kernel.errors import FieldError, Invalid
from pss_kernel.identity.accounts.hashing import LONGEST_PASSWORD, hashing, normalised

__all__ = ["refuse_weak"]

_KNOWN = frozenset(FREQUENCY_LISTS["passwords"])
_STRONG = 3  # of zxcvbn's 0 to 4: "safely unguessable", 10^8 guesses and more
_LONGEST_SCORED = 72  # characters; zxcvbn takes no more, and what follows makes it no weaker
_MOST_READINGS = 16
_MOST_WORDS = 40
_MOST_AROUND = 6  # characters: a year and "!!"
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_SYMBOLS = frozenset(one for symbols in L33T_TABLE.values() for one in symbols)
_one_at_a_time = threading.Lock()  # zxcvbn keeps the words of its user in one place for all


async def refuse_weak(
    password: str, *, minimum: int, own_words: Iterable[str], pointer: str = "/password"
) -> None:
    """Refuse a new password that is too short, too long, known or easy to guess.

    ``own_words``: names and addresses that its owner or others would try first. Raises Invalid
    (``password-refused``), Unavailable where too many wait.
    """
    given = normalised(password[: LONGEST_PASSWORD + 1])
    if len(given) < minimum:
        error = FieldError(
            pointer=pointer,
            detail=f"At least {minimum} characters are needed. A few unrelated words will do.",
            code="password-too-short",
        )
    elif len(password) > LONGEST_PASSWORD:
        error = FieldError(
            pointer=pointer,
            detail=f"At most {LONGEST_PASSWORD} characters are allowed.",
            code="password-too-long",
        )
    elif _is_known(given.lower()):
        error = FieldError(
            pointer=pointer,
            detail="It is among the passwords that are known from breaches. Choose another one.",
            code="password-known",
        )
    else:
        words = _parts(own_words)
        said = await hashing.run(lambda: _weakness(given, words))
        if said is None:
            return
        error = FieldError(
            pointer=pointer,
            detail=f"It is easy to guess. {said}".strip(),
            code="password-too-weak",
        )
    raise Invalid("This password can't be used.", code="password-refused", errors=[error])


def _is_known(password: str) -> bool:
    """Whether it is a known one, perhaps with a year or "!!" around: what people make of it."""
    core = _AROUND.sub("", password)
    return password in _KNOWN or (len(password) - len(core) <= _MOST_AROUND and core in _KNOWN)


def _is_own(password: str, words: list[str]) -> bool:
    """Whether it is made of the owner's words, with no more than a year or "!!" beside."""
    rest = password
    for one in sorted(words, key=len, reverse=True):
        rest = rest.replace(one, "")
    return len(rest) <= min(_MOST_AROUND, len(password) - 1)


def _weakness(password: str, words: list[str]) -> str | None:
    """Why it is easy to guess, in words; None where it isn't."""
    if _is_own(password.lower(), words):
        return "It is made of your name, your address or the name of this place."
    with _one_at_a_time:
        found = zxcvbn(_readable(password[:_LONGEST_SCORED]), words)
    if found["score"] >= _STRONG:
        return None
    said = [found["feedback"]["warning"], *found["feedback"]["suggestions"]]
    return " ".join(f"{one.rstrip('.')}." for one in said if one)


def _readable(password: str) -> str:
    """Less the symbols that would give it too many readings: "4" for "a", "$" for "s".

    zxcvbn looks at each combination of them, which takes seconds for some texts.
    """
    kept: set[str] = set()
    for one in password:
        if one in _SYMBOLS and _readings(kept | {one}) <= _MOST_READINGS:
            kept.add(one)
    return "".join("~" if one in _SYMBOLS and one not in kept else one for one in password)


def _readings(symbols: set[str]) -> int:
    return prod(max(1, len(symbols.intersection(given))) for given in L33T_TABLE.values())


def _parts(own_words: Iterable[str]) -> list[str]:
    """The texts themselves and the words in them; what is very short would forbid too much."""
    found: dict[str, None] = {}
    for text in own_words:
        for one in (text, *re.split(r"[\W_]+", text)):
            if len(one) > 2:  # noqa: PLR2004 - as said above
                found[one.lower()] = None
    return list(found)[:_MOST_WORDS]
