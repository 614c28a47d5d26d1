"""What keeps an installation from starting: secrets that are missing, or that everybody knows.

An installation for trying out is exempt: the embedded database, ``--demo``, ``PSS_DEMO=1``.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from pss_kernel.errors import Invalid, Problem
from pss_kernel.keys._key_file import read_key_file, read_keys
from pss_kernel.keys._sources import sources

if TYPE_CHECKING:
    from pss_kernel.config import Config

__all__ = ["Refusal", "is_for_trying", "refusals", "refuse_insecure"]

_KNOWN = {
    *("", "postgres", "postgresql", "pss", "pss_app", "pss_owner", "guest", "rabbitmq", "redis"),
    *("changeme", "change-me", "change_me", "password", "passwd", "secret", "admin", "root"),
    *("example", "default", "test", "demo", "user", "1234", "12345", "123456", "12345678"),
    *("dev-only-token", "myroot", "vault", "...", "…", "xxx"),
}
_FEWEST_BYTES = 8
"""Different bytes in a master key; of 32 random ones fewer than 20 never occur."""


class Refusal(msgspec.Struct, frozen=True):
    """One thing that is wrong, with the variable that it is about."""

    variable: str
    detail: str
    mend: str

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.variable}: {self.detail} {self.mend}"


def is_for_trying(config: Config) -> bool:
    """Whether nothing here is in earnest."""
    return config.demo or config.database_url is None


def refuse_insecure(config: Config, environment: Mapping[str, str] | None = None) -> None:
    """Raises Invalid (``insecure-configuration``) with everything that is wrong at once."""
    if is_for_trying(config):
        return
    found = list(refusals(config, os.environ if environment is None else environment))
    if found:
        listed = "\n".join(f"  {one.sentence}" for one in found)
        raise Invalid(
            f"It is not started with secrets like these:\n{listed}\n"
            "PSS_DEMO=1 starts it all the same, for trying out.",
            code="insecure-configuration",
        )


def refusals(config: Config, environment: Mapping[str, str]) -> Iterator[Refusal]:
    """What is wrong with the secrets of a configuration; the secrets are not in it."""
    yield from _master_key(config)
    yield from _vault(config)
    for variable, url in _urls(config):
        yield from _password(variable, url)
    for variable, source in sources(environment).items():
        if source.startswith("file "):
            yield from _file_rights(f"{variable}_FILE", Path(source.removeprefix("file ")))


def _master_key(config: Config) -> Iterator[Refusal]:
    variable = "PSS_MASTER_KEY" if config.master_key else "PSS_MASTER_KEY_FILE"
    keys: dict[str, bytes] = {}
    try:
        if config.master_key is not None:
            keys |= read_keys(config.master_key.reveal(), "PSS_MASTER_KEY")
        if config.master_key_file is not None:
            keys |= read_key_file(config.master_key_file)
    except Problem as problem:
        yield Refusal(variable, problem.detail, problem.mend or "")
        return
    if not keys and config.vault_addr is None:
        yield Refusal(
            variable,
            "there is no master key."
            if config.master_key_file is None
            else f"there is no master key in {config.master_key_file}.",
            "Make one with 'pss keys generate', or set PSS_VAULT_ADDR: see docs/secrets.md.",
        )
    for name, key in keys.items():
        if len(set(key)) < _FEWEST_BYTES:
            yield Refusal(
                variable,
                f"the master key {name} is no random one.",
                "Make one with 'pss keys generate'.",
            )


def _vault(config: Config) -> Iterator[Refusal]:
    if config.vault_addr is None:
        return
    file = config.vault_token_file
    if config.vault_token is None and file is None:
        yield Refusal("PSS_VAULT_ADDR", "there is no token for it.", "Set PSS_VAULT_TOKEN_FILE.")
    elif config.vault_token is None and file is not None and not _has_text(file):
        yield Refusal("PSS_VAULT_TOKEN_FILE", f"there is no token in {file}.", "Write it there.")
    elif config.vault_token is not None and config.vault_token.reveal().lower() in _KNOWN:
        yield Refusal("PSS_VAULT_TOKEN", "everybody knows this token.", "Use one of its own.")


def _has_text(file: Path) -> bool:
    try:
        return bool(file.read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        return False


def _urls(config: Config) -> Iterator[tuple[str, str]]:
    """Every URL of the configuration that may hold a password."""
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if name.endswith("_url") and value is not None:
            yield f"PSS_{name.upper()}", str(getattr(value, "reveal", lambda v=value: v)())
    for cell in config.cells:
        for name in cell.__struct_fields__:
            value = getattr(cell, name)
            if name.endswith("_url") and value is not None:
                yield f"PSS_CELL_{cell.name.upper()}_{name.upper()}", value


def _password(variable: str, url: str) -> Iterator[Refusal]:
    """A password that everybody knows, where somebody else could use it."""
    place = urlsplit(url)
    if not place.scheme or _is_here(place.hostname, place.query):
        return
    password = place.password
    if password is None:
        if place.scheme not in {"amqp", "amqps"}:
            return  # a certificate, a file of passwords, or none is asked for
        password = "guest"  # noqa: S105 - what is then sent
    known = unquote(password).lower()
    if known in _KNOWN or (place.username and known == unquote(place.username).lower()):
        yield Refusal(
            variable,
            "its password is one that everybody knows.",
            "Give that login a password of its own.",
        )


def _is_here(host: str | None, query: str) -> bool:
    """Whether it is on this machine: loopback, or a socket file."""
    named = [host] if host else parse_qs(query).get("host", [""])
    return all(one.startswith("/") or one in {"", "localhost"} or _loopback(one) for one in named)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _file_rights(variable: str, path: Path) -> Iterator[Refusal]:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # told by whoever reads it
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        yield Refusal(
            variable, f"every user of this machine can read {path}.", f"Run: chmod 600 {path}"
        )
