"""Master keys: they open the data keys of the tenants, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pss_kernel.keys._key_file import (
    add_key,
    make_key_file,
    read_key_file,
    read_keys,
)
from pss_kernel.keys._sealed import KeyMissing, seal, unseal
from pss_kernel.keys._vault import VaultKey
from pss_kernel.outgoing import Outgoing

if TYPE_CHECKING:
    from pss_kernel.config import Config

__all__ = ["MEND", "MasterKeys"]

MEND = "Set PSS_MASTER_KEY_FILE, PSS_MASTER_KEY or PSS_VAULT_ADDR: see docs/secrets.md."


class MasterKeys:
    """The current master key, which wraps, and the earlier ones, which still unwrap.

    From the environment, from a file, and from Vault; with Vault its key is the current one. An
    embedded installation that is told none makes a file of its own in the data folder.
    """

    def __init__(self, config: Config, *, embedded: bool, outgoing: Outgoing | None = None) -> None:
        self._own = embedded and config.master_key is None and config.vault_addr is None
        self.file = Path(config.master_key_file) if config.master_key_file else None
        if self.file is None and embedded:
            self.file = config.data_dir / "master.key"
        self._named = config.master_key_file is not None
        self._text = config.master_key
        self._keys: dict[str, bytes] = {}
        self.vault = VaultKey(config, outgoing or Outgoing(config)) if config.vault_addr else None
        self._read = False

    def _load(self) -> None:
        keys: dict[str, bytes] = {}
        if self._text is not None:
            keys |= read_keys(self._text.reveal(), "PSS_MASTER_KEY")
        if self.file is not None:
            keys |= {one: key for one, key in read_key_file(self.file).items() if one not in keys}
        self._keys, self._read = keys, True

    @property
    def ids(self) -> list[str]:
        """Every master key that is known here, the current one first."""
        if not self._read:
            self._load()
        return [*([self.vault.id] if self.vault else []), *self._keys]

    @property
    def current(self) -> str | None:
        """The one that wraps; None where there is none yet."""
        return next(iter(self.ids), None)

    @property
    def source(self) -> str:
        """Where the current one is kept, for people."""
        if self.vault:
            return "Vault"
        if self._text is not None:
            return "PSS_MASTER_KEY"
        return str(self.file) if self.file else "nowhere"

    @property
    def makes_one(self) -> bool:
        """Whether a first one is made where none is there."""
        return self._own and not self._named

    @property
    def far(self) -> bool:
        """Whether wrapping and unwrapping wait for another server."""
        return self.vault is not None

    def wrap(self, key: bytes, where: bytes) -> tuple[str, bytes]:
        """Wrap a data key with the current master key, whose id comes first. Raises KeyMissing."""
        if self.vault is not None:
            return self.vault.id, self.vault.wrap(key, where)
        self._load()  # another process may have made it, or added one
        if not self._keys and self.makes_one and self.file is not None:
            make_key_file(self.file)
            self._load()
        if not self._keys:
            raise self._none()
        master, material = next(iter(self._keys.items()))
        return master, seal(AESGCM(material), 0, where, key)

    def unwrap(self, master: str, wrapped: bytes, where: bytes) -> bytes:
        """Open a data key. Raises KeyMissing, Altered; Unavailable where Vault doesn't answer."""
        if self.vault is not None and master == self.vault.id:
            return self.vault.unwrap(wrapped, where)
        if master not in self._keys:
            self._load()
        if master not in self._keys:
            raise self._none() if not self.ids else self._other(master)
        return unseal(AESGCM(self._keys[master]), where, wrapped, "A data key")

    def stale(self, master: str, wrapped: bytes) -> bool:
        """Whether another master key, or an older version of Vault's, wrapped it."""
        if master != self.current:
            return True
        if self.vault is None:
            return False
        return self.vault.version_of(wrapped) != self.vault.latest_version()

    def add(self) -> str:
        """Add a new master key to the key file and make it the current one; its id."""
        if self.vault is not None or self._text is not None or self.file is None:
            raise KeyMissing(
                f"The current master key is kept in {self.source}, not in a file.",
                code="no-key-file",
                mend="Make the new one there, as docs/secrets.md says; then 'pss keys rewrap'.",
            )
        add_key(self.file)
        self._load()
        return next(iter(self._keys))

    def _none(self) -> KeyMissing:
        return KeyMissing("There is no master key here.", code="no-master-key", mend=MEND)

    def _other(self, master: str) -> KeyMissing:
        known = ", ".join(self.ids)
        return KeyMissing(
            f"The master key {master} is not here; known are: {known}.",
            code="master-key-unknown",
            mend="Add it, after the current one, to PSS_MASTER_KEY or to the key file.",
        )
