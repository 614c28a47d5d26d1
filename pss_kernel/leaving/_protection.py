"""Which columns hold what is personal or secret, as far as somebody has said so."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from sqlalchemy import MetaData

from pss_kernel.config import IDENTITY
from pss_kernel.keys._personal import personal_columns

if TYPE_CHECKING:
    from pss_kernel.registry import Registry

__all__ = ["PASSING", "PROTECTED", "protection_of"]

PROTECTED = (
    "All of it is confidential. Columns known to be personal or secret say so in manifest.json",
    "('protection'). That another column does not say so is no promise.",
    "Where it is 'encrypted', and for the secrets among the settings ('$sealed'): the values are",
    "sealed with the tenant's data keys (control/tenant_key.jsonl), and those with a master key",
    "that is not in here. Without it nobody reads them; with it, the system does as before.",
    "control/api_key.jsonl: digests of API keys, never the keys. The keys open the system again",
    "where this is imported under the same code.",
    "tables/account.jsonl has digests of passwords, tables/recovery_code.jsonl of codes:",
    "with them people sign in as before where this is imported. Sessions, links from mails and",
    "sign-ins that are half done stay behind; everybody signs in anew.",
    "tables/event.jsonl, tables/idempotency.jsonl and the waiting events in control/ repeat what",
    "happened, with personal data in it.",
)
PASSING = frozenset({"account_link", "refresh_token", "session", "sign_in_step"})
"""Tables whose rows open an account for a while: an export has none of them."""
_KNOWN = {
    "account": {
        "attributes": "personal",
        "email": "personal",
        "email_key": "personal",
        "name": "personal",
        "password_hash": "secret",
    },
    "api_key": {"secret_digest": "secret"},
    "audit_entry": {"entry": "personal"},
    "event": {"data": "personal"},
    "event_waiting": {"payload": "personal"},
    "factor": {"secret": "encrypted"},
    "idempotency": {"body": "personal"},
    "outbox": {"payload": "personal"},
    "outbox_dead": {"payload": "personal"},
    "person_key": {"wrapped": "encrypted"},
    "recovery_code": {"digest": "secret"},
    "sign_on_link": {"subject": "personal"},
    "tenant_key": {"wrapped": "encrypted"},
    "tenant_plugin": {"settings": "secret"},
}


def protection_of(registry: Registry, plugin: str | None, table: str) -> dict[str, str]:
    """The protection of a table's columns, by name; what its plugin's models mark is encrypted."""
    if plugin in {None, IDENTITY} or plugin not in registry.plugins:
        return _KNOWN.get(table, {})
    marked = (one.split(".") for one in _personal(registry.plugins[plugin].package))
    return {column: "encrypted" for owner, column in marked if owner == table}


def _personal(package: str) -> list[str]:
    """``table.column`` of each column that a plugin's models mark as personal."""
    if importlib.util.find_spec(f"{package}.models") is None:
        return []
    metadata = getattr(importlib.import_module(f"{package}.models"), "metadata", None)
    if not isinstance(metadata, MetaData):
        return []
    return [name for name, _ in personal_columns(metadata)]
