"""The text of an API key, and what it is compared with."""

from __future__ import annotations

import hashlib
import re

import pytest

from pss_kernel.auth import ApiKey, MintedKey, match_api_key, parse_api_key, secret_matches

_SECRET = "a" * 43


def _key(mode: str = "live", **more: object) -> ApiKey:
    digest = hashlib.sha256(_SECRET.encode()).digest()
    return ApiKey("0123456789abcdef", "aero", "", digest, frozenset(), None, mode, **more)


@pytest.mark.parametrize(
    ("text", "mode", "known"),
    [
        (f"pss_live_0123456789abcdef_{_SECRET}", "live", True),
        (f"pss_0123456789abcdef_{_SECRET}", "live", True),
        (f"pss_test_0123456789abcdef_{_SECRET}", "test", True),
        (f"pss_test_0123456789abcdef_{_SECRET}", "live", False),
        (f"pss_live_0123456789abcdef_{_SECRET}", "test", False),
        (f"pss_0123456789abcdef_{_SECRET}", "test", False),
        (f"pss_live_0123456789abcdef_{'b' * 43}", "live", False),
        (f"pss_live_0123456789ABCDEF_{_SECRET}", "live", False),
        (f"pss_demo_0123456789abcdef_{_SECRET}", "live", False),
        (f" pss_live_0123456789abcdef_{_SECRET}", "live", False),
        ("", "live", False),
    ],
)
def test_text_and_mode_belong_together(text: str, mode: str, known: bool) -> None:
    """A key is known by its own text alone; one of before is a live one."""
    key = _key(mode)
    expected = key if known else None
    assert expected == match_api_key(text, {key.key_id: key}.get)


def test_new_keys() -> None:
    """What is drawn parses, has 256 bits of secret, and is what secret scanners look for."""
    for mode in ("live", "test"):
        minted = MintedKey.draw(mode)
        assert re.fullmatch(rf"pss_{mode}_[0-9a-f]{{16}}_[A-Za-z0-9_-]{{43}}", minted.text)
        parsed = parse_api_key(minted.text)
        assert parsed is not None
        assert minted.key_id == parsed[0]
        assert minted.digest == hashlib.sha256(parsed[1].encode()).digest()


def test_an_unknown_id_is_compared_as_well() -> None:
    """A key that is not there matches nothing, not even what its stand-in is made of."""
    assert not secret_matches(None, _SECRET)
    assert not secret_matches(None, "")


def test_no_secret_in_what_is_shown() -> None:
    """Neither a key nor a drawn one shows what it could be known by."""
    minted = MintedKey.draw("live")
    assert minted.text not in repr(minted)
    assert repr(minted.digest) not in repr(minted)
    assert "digest" not in repr(_key())


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ((), "203.0.113.9", True),
        ((), "not an address", True),
        (("203.0.113.0/24",), "203.0.113.9", True),
        (("203.0.113.0/24",), "203.0.114.9", False),
        (("203.0.113.0/24", "2001:db8::/32"), "2001:db8::1", True),
        (("203.0.113.0/24",), "2001:db8::1", False),
        (("0.0.0.0/0",), "", False),
    ],
)
def test_networks(networks: tuple[str, ...], address: str, allowed: bool) -> None:
    """Used from one of its networks, where it has any; what is no address is in none."""
    assert allowed is _key(networks=networks).may_come_from(address)
