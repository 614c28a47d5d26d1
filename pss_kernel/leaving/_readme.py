"""The page for people that lies in every export."""

from __future__ import annotations

from pss_kernel.leaving._format import Manifest

__all__ = ["readme"]

_TEXT = """\
{name} ({code}): everything that the passenger service system kept for it
Exported at {when} UTC. Keep it as safe as the system itself: it holds personal data.

What is here
  manifest.json   what this is: versions, tables, columns and their types, rows, digests, counters
  SHA256SUMS      the digest of every file: check them with 'sha256sum --check SHA256SUMS'
  schema.sql      the tables as SQL, for an empty PostgreSQL
  tables/         the tenant's own tables ({tables} tables, {rows} rows)
  control/        its rows of the shared tables: identity, plugins and their settings, keys, jobs,
                  and the events that were still waiting

How to read it
  Each file under tables/ and control/ is JSON Lines, in UTF-8: a line is a row, a JSON object.
  NULL is null, and an empty text is "". Whole numbers and booleans are JSON's own. An array is a
  JSON array. Everything else is a string, just as PostgreSQL writes it:
    numeric      "12.50"
    timestamptz  "2026-01-31 12:00:00.123456+00", always in UTC
    bytea        "\\\\x00ff", hexadecimal digits after \\\\x
    json, jsonb  "{{\\"a\\": 1}}", a JSON document inside the string
  manifest.json names the type of every column.

  In Python, without anything else:
    import json
    for line in open("tables/event.jsonl", encoding="utf-8"):
        row = json.loads(line)

What is personal, and what is secret
{protected}

How to load it again
  pss tenant verify FOLDER      are all files as they were written?
  pss tenant import FOLDER      into another installation
"""


def readme(manifest: Manifest) -> str:
    """The words for one export."""
    return _TEXT.format(
        name=manifest.tenant.name,
        code=manifest.tenant.code,
        when=manifest.exported_at.strftime("%Y-%m-%d %H:%M"),
        tables=len(manifest.tables),
        rows=sum(one.rows for one in manifest.tables),
        protected="\n".join(f"  {line}" for line in manifest.protected),
    )
