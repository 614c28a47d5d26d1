"""Whether what an export has sealed can be opened where it is to be imported."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from pss_kernel.errors import Conflict, Problem
from pss_kernel.keys._data_keys import DataKeys, WrappedKey
from pss_kernel.leaving._format import Manifest
from pss_kernel.leaving._import_checks import readable

if TYPE_CHECKING:
    from pss_kernel.keys._master import MasterKeys

__all__ = ["check_keys"]


class _Row(msgspec.Struct):
    number: int
    state: Literal["current", "earlier", "erased"]
    master: str
    wrapped: str | None


async def check_keys(
    masters: MasterKeys, folder: Path, manifest: Manifest, code: str, *, open_them: bool
) -> None:
    """Raises Conflict where the tenant's data keys don't open here, or not under that code.

    Every sealed value is bound to the tenant's code and opens under no other one. Without
    ``open_them`` the master key may come later.
    """
    keys = tuple(_keys(folder, manifest))
    if not any(key.wrapped is not None for key in keys):
        return
    if code != manifest.tenant.code:
        raise Conflict(
            f"The export has sealed values, which open under the code {manifest.tenant.code!r} "
            "alone.",
            code="export-sealed",
            mend="Import it under its own code, without --as.",
        )
    if not open_them:
        return
    opened = DataKeys(code, keys)
    await asyncio.to_thread(opened.open, masters)
    for key in keys:
        problem = opened.problem(key.number) if key.wrapped is not None else None
        if isinstance(problem, Problem):
            raise Conflict(
                f"The sealed values of the export don't open here: {problem.detail}",
                code="export-sealed",
                mend="Give this installation the master key of the other one (docs/secrets.md), "
                "then 'pss keys rewrap'; or import it with --no-keys, and give it that key later.",
            )


def _keys(folder: Path, manifest: Manifest) -> Iterator[WrappedKey]:
    """The data keys of the export, wrapped."""
    for one in manifest.control:
        if one.name != "tenant_key":
            continue
        for line in (folder / one.file).read_bytes().splitlines():
            with readable(one.file):
                row = msgspec.json.decode(line, type=_Row)
                wrapped = None if row.wrapped is None else bytes.fromhex(row.wrapped[2:])
            yield WrappedKey(row.number, row.state, row.master, wrapped)
