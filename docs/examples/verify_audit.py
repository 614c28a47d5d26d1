"""Verifies an exported audit trail with nothing but Python: ``verify_audit.py FILE``."""

# ruff: noqa: INP001 - a script of its own

import hashlib
import json
import sys
from pathlib import Path

before, count = b"", 0
with Path(sys.argv[1]).open(encoding="utf-8") as trail:
    for line in trail:
        one = json.loads(line)
        before = hashlib.sha256(before + one["entry"].encode()).digest()
        place = json.loads(one["entry"])["position"]
        if not (count + 1 == one["position"] == place and before.hex() == one["digest"]):
            sys.stdout.write(f"broken at {count + 1}\n")
            sys.exit(1)
        count += 1
sys.stdout.write(f"{count} entries, whole; the last digest is {before.hex()}\n")
