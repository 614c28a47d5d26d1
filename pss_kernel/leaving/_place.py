"""Where an export is written: beside its name, given the name when it is whole."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pss_kernel.errors import Conflict, Invalid
from pss_kernel.leaving._format import SUMS

__all__ = ["Writing", "digest_of", "opened", "placed", "write_sums"]

_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600
_BLOCK = 1 << 20
_ARCHIVES = (".zip", ".tar.gz", ".tgz")
_OTHER_ARCHIVES: tuple[str, ...] = (
    ".rar",
    ".7z",
    ".tar",
    ".gz",
    ".bz2",
    ".xz",
    ".zst",
    ".lz",
    ".lzma",
    ".lz4",
)
_OTHER_ARCHIVES += (".z", ".tbz", ".tbz2", ".txz", ".tzst", ".cab")
_ALWAYS_BYTES, _MOST_RATIO = 100 << 20, 250
"""So much may always be unpacked, and more than it if that is no suspicious lot for the archive."""
_MOST_FILES = 10_000
_UNPACKING = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,  # an unknown compression
    OSError,
    RuntimeError,  # encrypted
    ValueError,
)


class Writing:
    """A file of an export while it is written: counts and digests what passes."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        path = folder / name
        path.parent.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
        self._file = os.fdopen(descriptor, "wb")
        self._digest = hashlib.sha256()
        self.bytes = 0
        self.lines = 0

    def write(self, piece: bytes) -> None:
        """One more piece."""
        self._file.write(piece)
        self._digest.update(piece)
        self.bytes += len(piece)
        self.lines += piece.count(b"\n")

    def close(self) -> str:
        """Have it on the disk; gives its SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """Let go of the file, whatever is in it."""
        self._file.close()


@contextmanager
def placed(target: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``target`` (a folder, .zip or .tar.gz) at the end.

    What an earlier attempt left behind is thrown away; two at once are refused. Whatever happens,
    there is nothing under the name before it is whole, and nothing is written over.
    """
    _refuse_other_archives(target)
    _refuse_existing(target)
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        lock = os.open(partial, os.O_RDONLY)
    except OSError as error:
        raise Invalid(
            f"{target} can't be written: {error.strerror}.",
            code="export-place",
            mend="Name another place.",
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"Another export is being written to {target}.", code="export-running"
            ) from error
        _refuse_existing(target)  # the other one may have ended just now
        _empty(partial)
        try:
            yield partial
            _give_name(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(lock)


def _refuse_other_archives(target: Path) -> None:
    name = target.name.lower()
    if name.endswith((*_ARCHIVES, *_OTHER_ARCHIVES)) and not target.name.endswith(_ARCHIVES):
        raise Invalid(
            f"An export is not written as {target.suffix}.",
            code="export-place",
            mend="Name a file that ends in .zip, .tar.gz or .tgz, or a folder.",
        )


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise Conflict(
            f"{target} is there already, and an export writes over nothing.",
            code="export-exists",
            mend="Name another place, or remove it.",
        )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _give_name(partial: Path, target: Path) -> None:
    if target.name.endswith(_ARCHIVES):
        archive = partial / ".archive"
        _pack(partial, archive, target.name)
        with _not_over(target):
            os.link(archive, target)
    else:
        _sync(partial)
        with _not_over(target):
            partial.rename(target)
    _sync(target.parent)


@contextmanager
def _not_over(target: Path) -> Iterator[None]:
    """Somebody else may have taken the name meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
            _refuse_existing(target)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pack(folder: Path, archive: Path, name: str) -> None:
    """All files in one, each at its own place under a folder of the archive's name."""
    root = name.removesuffix(".zip").removesuffix(".tgz").removesuffix(".tar.gz")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    descriptor = os.open(archive, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(descriptor, "r+b") as out:
        if name.endswith(".zip"):
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
                for path in paths:
                    packed.write(path, f"{root}/{path.relative_to(folder)}")
        else:
            with tarfile.open(fileobj=out, mode="w:gz") as packed_tar:
                for path in paths:
                    packed_tar.add(path, f"{root}/{path.relative_to(folder)}", recursive=False)
        out.flush()
        os.fsync(out.fileno())


@contextmanager
def opened(source: Path) -> Iterator[Path]:
    """The folder of an export; one that is packed is unpacked beside it, for the while.

    Raises Invalid where there is none, or the archive can't be read.
    """
    if source.is_dir():
        yield source
        return
    if not source.is_file() or not source.name.endswith(_ARCHIVES):
        raise Invalid(
            f"{source} is no export: neither a folder nor a .zip or .tar.gz.",
            code="not-an-export",
        )
    folder = source.with_name(f".{source.name}.unpacked-{os.getpid()}")
    try:
        folder.mkdir(mode=_PRIVATE_FOLDER)
        try:
            _unpack(source, folder)
        except _UNPACKING as error:
            raise Invalid(
                f"{source} can't be unpacked: {error}.",
                code="export-damaged",
                mend="Fetch it again from where it was written.",
            ) from error
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(source: Path, folder: Path) -> None:
    """Files only, without the folder that they lie in; nothing outside of ``folder``."""
    room = _Room(source)
    if source.name.endswith(".zip"):
        with zipfile.ZipFile(source) as packed:
            for entry in packed.infolist():
                room.file()
                if not entry.is_dir():
                    with packed.open(entry) as content:
                        counted = _Counted(content, room)
                        _keep(folder, entry.filename, iter(lambda: counted.read(_BLOCK), b""))  # noqa: B023 - used at once
        return
    # What is between the files is counted too: a header may be as long as it likes.
    with gzip.open(source) as content_tar:
        stream: Any = _Counted(content_tar, room)  # of a file's methods, only read() is called
        with tarfile.open(fileobj=stream, mode="r|") as packed_tar:
            for member in packed_tar:
                room.file()
                found = packed_tar.extractfile(member) if member.isreg() else None
                if found is not None:
                    _keep(folder, member.name, iter(lambda: found.read(_BLOCK), b""))  # noqa: B023 - used at once
        while stream.read(_BLOCK):  # to the end, where its own checksum is
            pass


class _Room:
    """How much may still be unpacked. Raises ValueError where that is exceeded."""

    def __init__(self, source: Path) -> None:
        self._most = max(_ALWAYS_BYTES, source.stat().st_size * _MOST_RATIO)
        self._bytes = 0
        self._files = 0

    def take(self, number: int) -> None:
        self._bytes += number
        if self._bytes > self._most:
            raise ValueError(
                f"it grows to more than {self._most >> 20} MiB, which no export of its size does; "
                "unpack it yourself if you know it"
            )

    def file(self) -> None:
        self._files += 1
        if self._files > _MOST_FILES:
            raise ValueError(f"it has more than {_MOST_FILES} files")


class _Counted:
    """A file to be read; counts what passes."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, room: _Room) -> None:
        self._file = file
        self._room = room

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._room.take(len(piece))
        return piece


def _keep(folder: Path, name: str, pieces: Iterator[bytes]) -> None:
    parts = PurePosixPath(name).parts[1:]
    if not 1 <= len(parts) <= 2 or any(part in {"..", "/", ""} for part in parts):  # noqa: PLR2004 - a file, or one in a folder
        raise ValueError(f"{name!r} is not a place in an export")
    path = folder.joinpath(*parts)
    path.parent.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as out:
        for piece in pieces:
            out.write(piece)


def digest_of(path: Path) -> tuple[str, int, int]:
    """A file's SHA-256, its bytes and its lines."""
    digest, size, lines = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(_BLOCK), b""):
            digest.update(piece)
            size += len(piece)
            lines += piece.count(b"\n")
    return digest.hexdigest(), size, lines


def write_sums(folder: Path, sums: dict[str, str]) -> None:
    """The digests of all files as ``sha256sum`` reads them."""
    writing = Writing(folder, SUMS)
    writing.write("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())
    writing.close()
