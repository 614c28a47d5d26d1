"""`pss inventory import-ssim` and `pss decode ssim`."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pss_inventory.commands import checked_contents
from pss_inventory.files import decode_ssim
from pss_inventory.ssim import read
from pss_kernel import Invalid


@pytest.fixture
def damaged(tmp_path: Path, schedule_bytes: Any) -> Path:
    """A schedule file whose first leg has an impossible departure time."""
    lines = schedule_bytes().decode().splitlines()
    lines[10] = lines[10][:39] + "9999" + lines[10][43:]
    path = tmp_path / "w26.ssim"
    path.write_text("\n".join(lines))
    return path


def test_file_with_an_error_is_refused_with_its_place(damaged: Path) -> None:
    """Nothing is imported from a malformed file; the message has line and column."""
    with pytest.raises(Invalid) as caught:
        checked_contents([damaged], accept_valid=False)
    assert "malformed-schedule" == caught.value.code
    assert f"{damaged}:11:40:" in str(caught.value)


def test_good_records_are_kept_when_asked_for(damaged: Path) -> None:
    """With --accept-valid the other legs are imported, as a file that is well-formed."""
    contents, findings = checked_contents([damaged], accept_valid=True)
    reading = read(contents["w26.ssim"])
    assert 4 == len(reading.file.legs)
    assert [] == reading.errors
    assert (11, 40) in [(one.line, one.column) for one in findings["w26.ssim"]]


@pytest.mark.parametrize("raw", [b"", b"\xff\x00 garbage", b"3" * 200])
def test_decoder_answers_anything_as_json(raw: bytes) -> None:
    """What is no schedule at all is answered with findings."""
    answer = msgspec.json.decode(msgspec.json.encode(decode_ssim(raw)))
    assert answer["findings"]
