"""Refusing revisions that would stop requests, or break the version before.

squawk knows what PostgreSQL's own commands do to a table in use; the further rules are about how
migrations are run here. A revision that makes a plugin's tables is free: nobody uses them yet.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pss_kernel.errors import Invalid
from pss_kernel.persistence._migrations import Revision
from pss_kernel.rollout._pending import Catalogue
from pss_kernel.rollout._rules import faults_of
from pss_kernel.rollout._statements import split

__all__ = ["Finding", "lint"]

_OLDEST_POSTGRESQL = "15"
_SECONDS = 60
# Those of squawk's rules that are about requests waiting or failing; others are about taste.
_REFUSED = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-required-field",
        "ban-alter-domain-with-add-constraint",
        "ban-create-domain-with-constraint",
        "ban-drop-constraint",
        "ban-drop-database",
        "ban-drop-not-null",
        "ban-truncate-cascade",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "renaming-column",
        "renaming-table",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
        "require-concurrent-partition-detach",
        "require-concurrent-reindex",
        "syntax-error",
        "transaction-nesting",
    }
)


class Finding(msgspec.Struct, frozen=True):
    """Something unsafe in a revision; with a reason where its author has decided so."""

    plugin: str
    revision: str
    rule: str
    statement: str
    message: str
    allowed: str | None = None


def lint(catalogue: Catalogue) -> list[Finding]:
    """Everything unsafe in the revisions of these plugins, what is allowed included."""
    return [
        finding
        for plugin in catalogue.folders
        for revision in catalogue.revisions(plugin)
        for finding in _findings(plugin, catalogue.versions[plugin], revision)
    ]


def _findings(plugin: str, version: str, revision: Revision) -> Iterator[Finding]:
    try:
        found = list(faults_of(revision, version))
    except Invalid as problem:
        found = [("unreadable-sql", revision.sql[:200], problem.sentence)]
    else:
        if not revision.first:
            found += _squawk(revision)
    for rule, statement, message in found:
        words = " ".join(statement.split())
        yield Finding(
            plugin, revision.revision, rule, words, message, revision.allow.get(rule) or None
        )
    for rule in revision.allow.keys() - {rule for rule, _, _ in found}:
        yield Finding(
            plugin,
            revision.revision,
            "unused-allow",
            f"allow[{rule!r}]",
            "The rule finds nothing here. Leave the exception out.",
        )


def _squawk(revision: Revision) -> Iterator[tuple[str, str, str]]:
    """What squawk says: rule, statement, message."""
    statements = split(revision.statements)
    text = "".join(f"{one};\n" for one in statements)
    lines = [one for one in statements for _ in f"{one};".splitlines()]
    for said in _run_squawk(text, in_transaction=not revision.concurrent):
        if said["rule_name"] in _REFUSED:
            place = min(said["line"], len(lines) - 1)
            help_text = said.get("help") or ""
            yield said["rule_name"], lines[place], f"{said['message']} {help_text}".strip()


def _run_squawk(text: str, *, in_transaction: bool) -> list[dict[str, Any]]:
    beside = str(Path(sys.executable).parent)
    program = shutil.which("squawk", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if program is None:
        raise Invalid(
            "The linter 'squawk' is not installed.",
            code="no-linter",
            mend="Install it with: pip install squawk-cli",
        )
    assumed = "--assume-in-transaction" if in_transaction else "--no-assume-in-transaction"
    finished = subprocess.run(  # noqa: S603 - the linter, with our own arguments
        [
            *(program, "--reporter", "json", "--pg-version", _OLDEST_POSTGRESQL, assumed),
            *("--stdin-filepath", "revision.sql"),
        ],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    try:
        said: list[dict[str, Any]] = json.loads(finished.stdout)
    except ValueError as error:
        raise Invalid(
            f"The linter 'squawk' failed: {finished.stderr.strip()[-500:]}", code="no-linter"
        ) from error
    return said
