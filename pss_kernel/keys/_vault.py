"""The transit engine of HashiCorp Vault (or OpenBao): it holds a master key and never gives it."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pss_kernel.errors import Invalid, Problem, Unavailable, UpstreamUnavailable
from pss_kernel.keys._sealed import Altered
from pss_kernel.outgoing import CallLimits

if TYPE_CHECKING:
    import hvac

    from pss_kernel.config import Config
    from pss_kernel.outgoing import Outgoing

__all__ = ["VaultKey"]

_SECONDS = 5
_LIMITS = CallLimits(attempts=2, failures=5, open_seconds=5.0)


class VaultKey:
    """One key of the transit engine; its ``id`` names engine and key.

    Calls block for a round trip to Vault.
    """

    def __init__(self, config: Config, outgoing: Outgoing) -> None:
        assert config.vault_addr is not None
        self.id = f"vault:{config.vault_mount}/{config.vault_key}"
        self._config = config
        self._target = outgoing.target("", "kernel", "vault", _LIMITS)
        self._client: hvac.Client | None = None
        self._lock = threading.Lock()  # hvac's session is one connection

    def wrap(self, key: bytes, where: bytes) -> bytes:
        """Encrypt a data key; Vault's own text, which names the version of its key."""
        answer = self._ask("encrypt_data", plaintext=_text(key), associated_data=_text(where))
        ciphertext: str = answer["ciphertext"]
        return ciphertext.encode()

    def unwrap(self, wrapped: bytes, where: bytes) -> bytes:
        """Decrypt a data key. Raises Unavailable, Altered."""
        answer = self._ask(
            "decrypt_data", ciphertext=wrapped.decode("ascii"), associated_data=_text(where)
        )
        return base64.b64decode(answer["plaintext"])

    def version_of(self, wrapped: bytes) -> str:
        """The version of Vault's key that wrapped it."""
        return wrapped.decode("ascii", "replace").split(":")[1]

    def latest_version(self) -> str:
        """The version that Vault wraps with now."""
        return self.version_of(self.wrap(b"\0", b""))

    def _ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        import hvac  # noqa: PLC0415 - slow to import, and only this needs it
        import requests  # noqa: PLC0415 - what hvac is made of

        ill = (
            hvac.exceptions.InternalServerError,
            hvac.exceptions.VaultDown,
            hvac.exceptions.BadGateway,
            hvac.exceptions.RateLimitExceeded,
        )

        def attempt() -> dict[str, Any]:
            try:
                return self._call(what, arguments)
            except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
                self._client = None  # the file may hold a newer token
                return self._call(what, arguments)

        try:
            with self._lock:
                # To wrap or unwrap twice is as good as once.
                return self._target.call_blocking(
                    attempt, repeatable=True, failures=(*ill, requests.RequestException)
                )
        except hvac.exceptions.InvalidRequest as error:
            raise Altered(f"A key that {self.id} wrapped") from error
        except (hvac.exceptions.VaultError, UpstreamUnavailable) as error:
            why = error.detail if isinstance(error, Problem) else type(error).__name__
            raise Unavailable(
                f"Vault at {self._config.vault_addr} does not give what {self.id} is needed for: "
                f"{why.rstrip('.')}.",
                code="vault-unavailable",
                mend="See that it runs and is unsealed, and that the token may encrypt and decrypt "
                "with that key (PSS_VAULT_TOKEN or PSS_VAULT_TOKEN_FILE).",
            ) from error

    def _call(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if self._client is None:
            import hvac  # noqa: PLC0415 - slow to import, and only this needs it

            self._client = hvac.Client(
                url=self._config.vault_addr, token=_token(self._config), timeout=_SECONDS
            )
        transit = self._client.secrets.transit
        answer = getattr(transit, what)(
            name=self._config.vault_key, mount_point=self._config.vault_mount, **arguments
        )
        found: dict[str, Any] = answer["data"]
        return found


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _token(config: Config) -> str:
    if config.vault_token is not None:
        return config.vault_token.reveal()
    if config.vault_token_file is None:
        raise Invalid(
            "PSS_VAULT_ADDR is set, and no token.",
            code="invalid-configuration",
            mend="Set PSS_VAULT_TOKEN_FILE or PSS_VAULT_TOKEN.",
        )
    try:
        return Path(config.vault_token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"The Vault token in {config.vault_token_file} can't be read.",
            code="invalid-configuration",
            mend="Correct PSS_VAULT_TOKEN_FILE, or its rights.",
        ) from error
