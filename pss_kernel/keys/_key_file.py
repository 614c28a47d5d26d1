"""Master keys as text: one in a line, the current one first."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import tempfile
from pathlib import Path

from pss_kernel.errors import Invalid
from pss_kernel.keys._sealed import KEY_BYTES, new_key

__all__ = ["add_key", "id_of", "make_key_file", "new_key_text", "read_key_file", "read_keys"]

_HEAD = (
    "# Master keys of this installation, the current one first. Without them nothing that is\n"
    "# sealed in the database can be read: keep a copy, apart from the database's backups.\n"
)


def new_key_text() -> str:
    """A new master key, as it is written down."""
    return base64.b64encode(new_key()).decode()


def id_of(key: bytes) -> str:
    """A name that tells nothing of the key and that no other key has."""
    digest = hmac.digest(key, b"pss master key id", hashlib.sha256)
    return f"local:{digest[:6].hex()}"


def read_keys(text: str, source: str) -> dict[str, bytes]:
    """The keys by id, separated by commas or white space. Raises Invalid, with no key in it."""
    lines = (line.partition("#")[0] for line in text.splitlines())
    keys = {}
    for number, word in enumerate(" ".join(lines).replace(",", " ").split(), start=1):
        try:
            key = base64.b64decode(word, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise Invalid(
                f"Key number {number} in {source} is not {KEY_BYTES} bytes in base64.",
                code="invalid-master-key",
                mend="'pss keys generate' prints one.",
            )
        keys[id_of(key)] = key
    return keys


def read_key_file(path: Path) -> dict[str, bytes]:
    """The keys in a file; none where there is no such file. Raises Invalid."""
    try:
        with path.open("rb") as file:
            text = file.read(1_000_000).decode("ascii")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"The master keys in {path} can't be read.",
            code="invalid-master-key",
            mend="Correct PSS_MASTER_KEY_FILE, or the file's rights.",
        ) from error
    return read_keys(text, str(path))


def make_key_file(path: Path) -> None:
    """Make the file with a first key, readable by its owner alone; one that is there stays."""
    _write(path, f"{_HEAD}{new_key_text()}\n", replace=False)


def add_key(path: Path) -> None:
    """Put a new key before those that are there: it is the current one from now on."""
    before = path.read_text(encoding="ascii") if path.exists() else ""
    body = before.removeprefix(_HEAD)
    _write(path, f"{_HEAD}{new_key_text()}\n{body}", replace=True)


def _write(path: Path, text: str, *, replace: bool) -> None:
    """Whole or not at all, whoever else does the same at this moment."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    written = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            written.replace(path)
        else:
            path.hardlink_to(written)
    except FileExistsError:
        return
    finally:
        written.unlink(missing_ok=True)
