"""Plugins that are nothing but migrations, in as many versions as a test needs."""

from __future__ import annotations

import importlib
import secrets
from pathlib import Path

from pss_kernel import Plugin
from pss_kernel.installation import Installation

__all__ = ["made_plugin", "switch_off"]


def made_plugin(
    folder: Path, name: str, version: str, revisions: dict[str, str], head: str = ""
) -> Plugin:
    """Make a plugin's package in a folder that is in ``sys.path``.

    ``revisions``: by name, each as the body of ``upgrade``.
    ``head``: what else stands in the module of the newest revision.
    """
    package = f"pss_{name}_{secrets.token_hex(4)}"
    migrations = folder / package / "migrations"
    migrations.mkdir(parents=True)
    (folder / package / "__init__.py").touch()
    before: str | None = None
    for revision, body in revisions.items():
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        more = head if revision == list(revisions)[-1] else ""
        (migrations / f"{revision}_step.py").write_text(
            f"from alembic import op\n\nrevision = {revision!r}\ndown_revision = {before!r}\n"
            f"{more}\n\n\ndef upgrade():\n{lines}\n"
        )
        before = revision
    importlib.invalidate_caches()
    return Plugin(name, version=version, package=package)


async def switch_off(installation: Installation, *names: str) -> None:
    """Let no tenant have them enabled any more, as nobody has them installed any more."""
    async with installation.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET state = 'disabled' WHERE plugin = ANY($1)", list(names)
        )
    await installation.directory.refresh()
