"""``make bench``: every figure beside its limit from the same run, also in ``var/bench.json``.

``python tests/benchmarks/run.py [TOPIC ...]`` runs some of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from figure import Figure, show

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "var" / "bench.json"
TOPICS = (
    "serving",
    "access",
    "provisioning",
    "migrations",
    "move",
    "replica",
    "memory",
    "strict",
    "budgets",
    "keys",
)
"""Modules beside this one, each with a function ``figures``."""


def main() -> None:
    """Measure topic by topic, print as it goes, and write the whole."""
    parser = argparse.ArgumentParser(description="Figures beside their limits.")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of: {', '.join(TOPICS)}")
    chosen = parser.parse_args().topics or TOPICS
    if unknown := set(chosen) - set(TOPICS):
        parser.error(f"no such topic: {', '.join(sorted(unknown))}; there are {', '.join(TOPICS)}")
    found: dict[str, list[Figure]] = {}
    for topic in chosen:
        sys.stdout.write(f"\n{topic}\n")
        found[topic] = importlib.import_module(topic).figures()
        show(found[topic])
    document = {
        topic: [asdict(one) | {"ratio": one.ratio} for one in figures]
        for topic, figures in found.items()
    }
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(document, indent=2) + "\n")
    sys.stdout.write(f"\nWritten to {TARGET.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
