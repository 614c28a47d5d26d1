"""Who is calling, and what they may do."""

from pss_kernel.auth._actor import Actor
from pss_kernel.auth._keys import ApiKey, create_api_key, parse_api_key, secret_matches

__all__ = ["Actor", "ApiKey", "create_api_key", "parse_api_key", "secret_matches"]
