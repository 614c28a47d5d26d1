"""Where the installation's own secrets come from: the environment, a file, or Vault.

``PSS_X`` holds the secret itself, or ``vault:MOUNT/PATH#FIELD`` for a field of Vault's key-value
store (version 2); ``PSS_X_FILE`` names a file that holds it, as container platforms hand them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pss_kernel.errors import Invalid

__all__ = ["SECRET_VARIABLE", "resolved", "sources"]

SECRET_VARIABLE = re.compile(
    r"PSS_(?:(?:CELL_[A-Z0-9]+_)?(?:(?:APP_|DIRECT_)?DATABASE|REPLICA)|AMQP|REDIS|SMTP)_URL",
    re.ASCII,
)
"""Variables that may hold a password and have a file beside them; the master key and the token for
Vault have files of their own."""

_REFERENCE = re.compile(r"vault:([^/#\s]+)/([^#\s]+)#([^#\s]+)")
_FILE = "_FILE"
_SECONDS = 5
_LONGEST = 100_000
_read: dict[tuple[str, str], str] = {}


def resolved(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the secrets themselves in place of files and references.

    Raises Invalid with the variable's name, and never with what it holds.
    """
    found = dict(environment)
    for name in _file_variables(environment):
        target = name.removesuffix(_FILE)
        if environment.get(target, "").strip():
            raise _wrong(name, f"{target} is set as well", f"Unset {target} or {name}.")
        found[target] = _from_file(name, environment[name].strip())
    for name, value in found.items():
        if value.startswith("vault:") and _may_refer(name):
            found[name] = _from_vault(name, value.strip(), environment)
    return found


def sources(environment: Mapping[str, str]) -> dict[str, str]:
    """Each secret that is set, by its variable, and where it is from; never the secret."""
    told = {}
    for name in _file_variables(environment):
        told[name.removesuffix(_FILE)] = f"file {environment[name].strip()}"
    for name in ("PSS_MASTER_KEY", "PSS_VAULT_TOKEN"):
        if environment.get(f"{name}{_FILE}", "").strip():
            told[name] = f"file {environment[f'{name}{_FILE}'].strip()}"
    for name, value in environment.items():
        if value.strip() and _may_refer(name):
            reference = _REFERENCE.fullmatch(value.strip())
            told[name] = (
                f"Vault, {reference[1]}/{reference[2]}#{reference[3]}"
                if reference
                else "the environment"
            )
    return dict(sorted(told.items()))


def _may_refer(name: str) -> bool:
    return name in {"PSS_MASTER_KEY", "PSS_VAULT_TOKEN"} or bool(SECRET_VARIABLE.fullmatch(name))


def _file_variables(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        target = name.removesuffix(_FILE)
        if target != name and value.strip() and SECRET_VARIABLE.fullmatch(target):
            yield name


def _from_file(name: str, path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            value = file.read(_LONGEST).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise _wrong(
            name, f"{path} can't be read: {why}", "Correct the path, or its rights."
        ) from None
    if not value:
        raise _wrong(name, f"{path} is empty", "Write the secret into it.")
    return value


def _from_vault(name: str, reference: str, environment: Mapping[str, str]) -> str:
    """A field of Vault's key-value store; asked for once in a process."""
    match = _REFERENCE.fullmatch(reference)
    if match is None or name == "PSS_VAULT_TOKEN":
        raise _wrong(
            name,
            "that is no reference to Vault",
            "Write vault:MOUNT/PATH#FIELD: vault:kv/pss#smtp.",
        )
    address = environment.get("PSS_VAULT_ADDR", "").strip()
    if not address:
        raise _wrong(name, "it refers to Vault, and PSS_VAULT_ADDR is not set", "Set it.")
    known = _read.get((address, reference))
    if known is None:
        known = _read[address, reference] = _ask(name, address, match, environment)
    return known


def _ask(name: str, address: str, match: re.Match[str], environment: Mapping[str, str]) -> str:
    import hvac  # noqa: PLC0415 - slow to import, and only this needs it
    import requests  # noqa: PLC0415 - what hvac is made of

    token = environment.get("PSS_VAULT_TOKEN", "").strip()
    file = environment.get("PSS_VAULT_TOKEN_FILE", "").strip()
    if not token and not file:
        raise _wrong(
            name,
            "it refers to Vault, and there is no token",
            "Set PSS_VAULT_TOKEN_FILE or PSS_VAULT_TOKEN.",
        )
    token = token or _from_file("PSS_VAULT_TOKEN_FILE", file)
    mount, path, field = match.groups()
    place = f"{mount}/{path}#{field}"
    client = hvac.Client(url=address, token=token, timeout=_SECONDS)
    try:
        answer: Any = client.secrets.kv.v2.read_secret_version(
            path=path, mount_point=mount, raise_on_deleted_version=True
        )
    except (hvac.exceptions.VaultError, requests.RequestException) as error:
        raise _wrong(
            name,
            f"Vault at {address} does not give {place} ({type(error).__name__})",
            "See that it runs and is unsealed, and that the token may read there.",
        ) from None
    finally:
        client.adapter.close()
    value = answer["data"]["data"].get(field)
    if not isinstance(value, str) or not value:
        raise _wrong(name, f"Vault has no text at {place}", "Write the secret there.")
    return value


def _wrong(name: str, why: str, mend: str) -> Invalid:
    return Invalid(
        f"The environment variable {name} is wrong: {why}.", code="invalid-configuration", mend=mend
    )
