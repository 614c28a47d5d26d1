"""The README's journey can be pasted into a shell, as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_pages import ROOT, quotations_of

sys.path.insert(0, str(ROOT / "tests" / "support"))

from pss_outside.airlines import AURELIS, trimmed
from pss_outside.processes import server

_BEGINS = "api=http://127.0.0.1:8000/v1"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[str, Path]]:
    """Aurelis behind a server: its address, and the folder of its data."""
    with tempfile.TemporaryDirectory(prefix="pss-readme-") as name:
        folder = Path(name)
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - for the unprivileged database server to pass
        tenants = trimmed(folder / "tenants", days=3, airlines=(AURELIS,))
        with server(folder / "var", tenants) as address:
            yield address, folder / "var"


@pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="it needs bash and curl"
)
def test_journey_with_curl(running: tuple[str, Path], tmp_path: Path) -> None:
    """Shop, order, pay, ticketed, seat, check in, boarding pass, board; a second scan is told."""
    address, data_dir = running
    blocks = [one.text for one in quotations_of(ROOT / "README.md") if one.language == "sh"]
    first = next(number for number, block in enumerate(blocks) if block.startswith(_BEGINS))
    script = "".join(blocks[first:])
    script = script.replace("http://127.0.0.1:8000", address)
    script = script.replace(".venv/bin/pss", f"{sys.executable} -m pss_kernel.cli")
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PSS_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = finished.stdout
    assert (0, "") == (finished.returncode, finished.stderr.replace(_REMARK, ""))
    assert ["var"] == [one.name for one in tmp_path.iterdir()]
    for expected in ("\ncaptured\n", "\nticketed\n", '"result":"boarded"', '"already_boarded"'):
        assert expected in said
    assert (tmp_path / "var/journey/boarding-pass.png").read_bytes().startswith(b"\x89PNG")


_REMARK = "Keep it safe: it can't be shown again.\n"
