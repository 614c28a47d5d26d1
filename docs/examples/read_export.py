"""Counts the rows of an exported tenant, with nothing but Python: ``read_export.py FOLDER``."""

# ruff: noqa: INP001 - a script of its own

import json
import sys
from pathlib import Path

export = Path(sys.argv[1])
manifest = json.loads((export / "manifest.json").read_text(encoding="utf-8"))
for table in manifest["tables"]:
    with (export / table["file"]).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    if len(rows) != table["rows"]:
        sys.exit(f"{table['name']} is not whole")
    sys.stdout.write(f"{table['name']}: {len(rows)}\n")
