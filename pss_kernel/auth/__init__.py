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

__all__ = [
    "INSERT_KEY",
    "Actor",
    "ApiKey",
    "KeyMode",
    "MintedKey",
    "create_api_key",
    "key_row",
    "match_api_key",
    "parse_api_key",
    "secret_matches",
]
