"""Running the card network for the tests of this plugin and of whoever pays through it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

__all__ = ["RunningNetwork", "running_network"]

_SECONDS_TO_END = 10


@dataclass(frozen=True, slots=True)
class RunningNetwork:
    """A network of its own process that listens at ``url``."""

    url: str
    process: subprocess.Popen[str]

    def client(self, merchant: str = "aurelis") -> httpx.Client:
        """Connect as a merchant, that is: as the tenant of this code."""
        return httpx.Client(base_url=self.url, headers={"Merchant": merchant}, timeout=5)

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.process.kill()
        self.process.wait(_SECONDS_TO_END)


@contextlib.contextmanager
def running_network(state: Path) -> Iterator[RunningNetwork]:
    """Start a network on a free port, wait for its line of readiness, end it by its own id.

    ``state`` is the file of its charges, or a folder for it. Raises RuntimeError when the
    process ends instead of listening.
    """
    process = subprocess.Popen(  # noqa: S603 - this interpreter with fixed arguments
        [sys.executable, "-m", "pss_payment_sandbox", "--port", "0", "--state", str(state)],
        stdout=subprocess.PIPE,
        text=True,
        # The process finds the packages where its parent found them.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("payment-sandbox listens on "):
                raise RuntimeError(f"The sandbox card network did not start: {line!r}")
            yield RunningNetwork(line.split()[-1], process)
        finally:
            process.terminate()
