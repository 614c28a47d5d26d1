"""The data keys of one tenant, opened: they seal its secrets and the keys of its people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pss_kernel.errors import Problem
from pss_kernel.keys._master import MasterKeys
from pss_kernel.keys._sealed import KeyMissing, new_key, number_of, place, seal, unseal

__all__ = ["DataKeys", "KeyErased", "WrappedKey", "fresh_key", "wrapped_keys"]


class KeyErased(KeyMissing):
    """The key was erased, on purpose and for good."""

    code, title = "key-erased", "The key was erased"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A tenant's data key as ``pss.tenant_key`` has it; ``wrapped`` is None once it is erased."""

    number: int
    state: Literal["current", "earlier", "erased"]
    master: str
    wrapped: bytes | None


def wrapped_keys(rows: Iterable[Mapping[str, Any]]) -> tuple[WrappedKey, ...]:
    """From rows of ``pss.tenant_key``."""
    return tuple(
        WrappedKey(row["number"], row["state"], row["master"], row["wrapped"]) for row in rows
    )


def fresh_key(masters: MasterKeys, tenant: str, number: int) -> WrappedKey:
    """A new data key, wrapped; it becomes the current one. May wait for Vault."""
    master, wrapped = masters.wrap(new_key(), _where(tenant, number))
    return WrappedKey(number, "current", master, wrapped)


def rewrapped(masters: MasterKeys, tenant: str, key: WrappedKey) -> WrappedKey:
    """The same data key under the current master key. May wait for Vault."""
    assert key.wrapped is not None
    where = _where(tenant, key.number)
    master, wrapped = masters.wrap(masters.unwrap(key.master, key.wrapped, where), where)
    return WrappedKey(key.number, key.state, master, wrapped)


def _where(tenant: str, number: int) -> bytes:
    return place("data key", tenant, str(number))


class DataKeys:
    """A tenant's data keys. Those that can't be opened raise only where they are used."""

    __slots__ = ("_opened", "complete", "keys", "tenant")

    def __init__(self, tenant: str, keys: tuple[WrappedKey, ...]) -> None:
        self.tenant = tenant
        self.keys = keys
        self._opened: dict[int, AESGCM | Problem] = {}
        self.complete = not keys
        """Whether each key that was not erased is open."""

    def open(self, masters: MasterKeys, known: DataKeys | None = None) -> None:
        """Unwrap every key that is not open yet. May wait for Vault; never raises a Problem."""
        for key in self.keys:
            same = known is not None and key in known.keys
            opened = known._opened.get(key.number) if known and same else None  # noqa: SLF001 - its own
            if isinstance(opened, AESGCM):
                self._opened[key.number] = opened
            elif key.wrapped is not None and not isinstance(self._opened.get(key.number), AESGCM):
                try:
                    clear = masters.unwrap(key.master, key.wrapped, _where(self.tenant, key.number))
                    self._opened[key.number] = AESGCM(clear)
                except Problem as problem:
                    self._opened[key.number] = problem
        self.complete = all(
            key.wrapped is None or isinstance(self._opened.get(key.number), AESGCM)
            for key in self.keys
        )

    @property
    def current(self) -> WrappedKey | None:
        """The key that new values are sealed with; None where there is none (yet)."""
        return next((key for key in self.keys if key.state == "current"), None)

    def problem(self, number: int) -> Problem | None:
        """Why that key doesn't open, where it doesn't."""
        try:
            self._key(number)
        except Problem as problem:
            return problem
        return None

    def has(self, sealed: bytes) -> bool:
        """Whether the key of a sealed value is among these, erased ones included."""
        number = number_of(sealed)
        return any(key.number == number for key in self.keys)

    def seal(self, clear: bytes, *where: str) -> bytes:
        """Seal a value with the current key, for its place within the tenant."""
        current = self.current
        if current is None:
            raise KeyMissing(f"The tenant {self.tenant!r} has no data key.", code="no-data-key")
        key = self._key(current.number)
        return seal(key, current.number, place(self.tenant, *where), clear)

    def unseal(self, sealed: bytes, *where: str) -> bytes:
        """Open a value in its place. Raises KeyMissing, KeyErased, Altered, Unavailable."""
        what = f"{' '.join(where)} of {self.tenant}"
        key = self._key(number_of(sealed, what))
        return unseal(key, place(self.tenant, *where), sealed, what)

    def _key(self, number: int) -> AESGCM:
        opened = self._opened.get(number)
        if isinstance(opened, AESGCM):
            return opened
        if opened is not None:
            raise opened
        if any(key.number == number and key.state == "erased" for key in self.keys):
            raise KeyErased(
                f"The key {number} of {self.tenant!r} was erased: what it sealed is gone.",
                mend="Set the value again.",
            )
        raise KeyMissing(
            f"The key {number} of {self.tenant!r} is not there.",
            mend="Restore pss.tenant_key together with the rest of the database.",
        )
