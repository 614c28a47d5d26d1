"""The airlines of this checkout with a shorter horizon: the same files, set up much sooner."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

__all__ = ["AURELIS", "PIPIT", "trimmed"]

AURELIS, PIPIT = "aurelis", "pipit"
_TENANTS = Path(__file__).resolve().parents[3] / "tenants"


def trimmed(
    into: Path,
    *,
    days: int,
    airlines: tuple[str, ...] = (AURELIS, PIPIT),
    settings: dict[str, str] | None = None,
    through_fares: bool = True,
) -> Path:
    """Copy the airlines, with flights of so many days; gives the folder of their folders.

    ``settings`` are lines of TOML put under the table of a plugin: ``{"payment": "a = 1"}``.
    Without ``through_fares`` connections cost the sum of their flights, and loading is sooner.
    """
    for airline in airlines:
        folder = into / airline
        shutil.copytree(_TENANTS / airline, folder)
        if not through_fares:
            for fares in folder.glob("fares/connections-*.toml"):
                fares.unlink()
        file = folder / "tenant.toml"
        text, found = re.subn(
            r"(?m)^horizon_days = \d+", f"horizon_days = {days}", file.read_text()
        )
        assert 1 == found, f"{airline} sets its horizon in another way now"
        for plugin, lines in (settings or {}).items():
            text, found = re.subn(
                rf"(?m)^(\[plugins\.{plugin}\].*)$", rf"\1\n{lines}", text, count=1
            )
            assert 1 == found, f"{airline} does not have the plugin {plugin}"
        file.write_text(text)
    return into
