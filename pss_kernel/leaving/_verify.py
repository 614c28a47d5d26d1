"""Whether an export is whole: every file there, as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from pss_kernel.errors import Invalid
from pss_kernel.leaving._format import FORMAT, FORMAT_VERSION, MANIFEST, SUMS, Manifest, TableFile
from pss_kernel.leaving._place import digest_of

__all__ = ["faults_of", "read_manifest"]

_LONGEST_MANIFEST = 64 << 20


def read_manifest(folder: Path) -> Manifest:
    """What an export says of itself. Raises Invalid where there is none that we can read."""
    path = folder / MANIFEST
    if not path.is_file():
        raise Invalid(f"There is no {MANIFEST} in {folder}.", code="not-an-export")
    if path.stat().st_size > _LONGEST_MANIFEST:
        raise Invalid(f"{path} is too large to be a manifest.", code="not-an-export")
    content = path.read_bytes()
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.format != FORMAT:
            raise Invalid(f"{path} is not about an export of ours.", code="not-an-export")
        if head.format_version > FORMAT_VERSION:
            raise Invalid(
                f"The export has version {head.format_version} of the format; this program knows "
                f"versions up to {FORMAT_VERSION}.",
                code="newer-export",
                mend="Use the version of pss that wrote it, or a newer one.",
            )
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{path} can't be read: {error}.", code="export-damaged") from error


class _Head(msgspec.Struct):
    format: str
    format_version: int


def faults_of(folder: Path, manifest: Manifest) -> list[str]:
    """What is not as it was written, in sentences; nothing where all is."""
    return [*_files(manifest, folder), *_sums(folder)]


def _files(manifest: Manifest, folder: Path) -> Iterator[str]:
    for one in (*manifest.tables, *manifest.control):
        path = _file(folder, one.file)
        if path is None:
            yield f"{one.file} is missing."
            continue
        digest, size, lines = digest_of(path)
        yield from _differs(one, digest, size, lines)


def _differs(one: TableFile, digest: str, size: int, lines: int) -> Iterator[str]:
    if lines != one.rows:
        yield f"{one.file} has {lines} rows; {one.rows} were written."
    if size != one.bytes:
        yield f"{one.file} has {size} bytes; {one.bytes} were written."
    if digest != one.sha256:
        yield f"{one.file} is not as it was written: its digest differs."


def _sums(folder: Path) -> Iterator[str]:
    """The list that ``sha256sum`` reads: it covers the manifest and the schema too."""
    path = folder / SUMS
    if not path.is_file():
        yield f"{SUMS} is missing."
        return
    listed = set()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        listed.add(name)
        place = _file(folder, name)
        if place is None:
            yield f"{name} is missing."
        elif digest_of(place)[0] != digest:
            yield f"{name} is not as it was written: its digest differs from {SUMS}."
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name != SUMS and name not in listed:
            yield f"{name} was not written by the export."


def _file(folder: Path, name: str) -> Path | None:
    """A file of the export; None where there is none, and for a name that leads out of it."""
    try:
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # no file can be called that
        return None
