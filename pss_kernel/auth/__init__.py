"""Who is calling, and what they may do."""

from pss_kernel.auth._actor import Actor
from pss_kernel.auth._keys import (
    INSERT_KEY,
    ApiKey,
    KeyMode,
    MintedKey,
    create_api_key,
    key_row,
    match_api_key,
    parse_api_key,
    secret_matches,
)
from pss_kernel.auth._rights import LEVELS, Rights, rights_of, scopes_of
from pss_kernel.auth._rules import Limits, Own, UpTo

__all__ = [
    "INSERT_KEY",
    "LEVELS",
    "Actor",
    "ApiKey",
    "KeyMode",
    "Limits",
    "MintedKey",
    "Own",
    "Rights",
    "UpTo",
    "create_api_key",
    "key_row",
    "match_api_key",
    "parse_api_key",
    "rights_of",
    "scopes_of",
    "secret_matches",
]
