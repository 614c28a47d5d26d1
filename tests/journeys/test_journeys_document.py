"""The whole OpenAPI document, tried by schemathesis: no internal error, no undocumented answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Running

pytestmark = [pytest.mark.xdist_group("journeys")]

_EXAMPLES = os.environ.get("PSS_TEST_EXAMPLES")
"""For each operation; without it a few, and the cases at the edges of each schema are left out."""
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "missing_required_header",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("who", ["staff", "guest"])
def test_every_operation(running: Running, tmp_path: Path, who: str) -> None:
    """What fits the document and what does not are both answered as the document says."""
    (code, key), *_ = running.keys.items()
    headers = [f"PSS-Tenant: {code}"]
    if who == "staff":
        headers.append(f"Authorization: Bearer {key}")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            *("run", f"{running.address}/docs/openapi.json", "--url", running.address),
            *(part for one in headers for part in ("--header", one)),
            *("--phases", "examples,coverage,fuzzing" if _EXAMPLES else "examples,fuzzing"),
            *("--max-examples", _EXAMPLES or "3", "--checks", ",".join(_CHECKS)),
            *("--seed", "1", "--generation-database", "none", "--no-color"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # it writes what it has found
    )
    assert 0 == done.returncode, done.stdout[-12_000:] + done.stderr[-2_000:]
    assert "0 generated" not in done.stdout
