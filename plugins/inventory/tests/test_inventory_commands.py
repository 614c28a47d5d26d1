"""`pss inventory import-ssim` and `pss decode ssim`."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pss_inventory.checks import check_schedule
from pss_inventory.commands import checked_contents, records_of_others
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
    checked = checked_contents([damaged], accept_valid=True)
    reading = read(checked.contents["w26.ssim"])
    assert 4 == len(reading.file.legs)
    assert [] == reading.errors
    assert (11, 40) in [(one.line, one.column) for one in checked.findings["w26.ssim"]]


def test_truncated_file_is_refused_unless_its_good_records_are_enough(
    tmp_path: Path, schedule_bytes: Any
) -> None:
    """Without a trailer nobody knows what was cut off, so that is an error, for folders too."""
    path = tmp_path / "w26.ssim"
    path.write_text("\n".join(schedule_bytes().decode().splitlines()[:12]))
    assert ["error"] == [one.severity for one in check_schedule(path)]
    with pytest.raises(Invalid, match="without a trailer"):
        checked_contents([path], accept_valid=False)
    checked = checked_contents([path], accept_valid=True)
    assert [] == read(checked.contents["w26.ssim"]).errors
    assert {"w26.ssim": {"Q1": 2}} == checked.carriers


@pytest.mark.parametrize("text", ["# A page\n\nNo schedule.\n", "0" * 200])
def test_file_without_a_good_record_is_refused(tmp_path: Path, text: str) -> None:
    """Asking for the good records of a file that has none is a mistake."""
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(Invalid, match="no good record in the file"):
        checked_contents([path], accept_valid=True)


def test_other_carriers_are_counted_and_their_files_refused() -> None:
    """A file needs a record of the airline's own; an airline without a carrier takes all."""
    mixed, foreign = {"a.ssim": Counter(Q1=4, Q2=3)}, {"b.ssim": Counter(Q2=3)}
    assert 3 == records_of_others(mixed, "Q1")
    assert 0 == records_of_others(mixed | foreign, "")
    with pytest.raises(Invalid, match=r"b\.ssim has no record of Q1, only of Q2"):
        records_of_others(mixed | foreign, "Q1")


@pytest.mark.parametrize("raw", [b"", b"\xff\x00 garbage", b"3" * 200])
def test_decoder_answers_anything_as_json(raw: bytes) -> None:
    """What is no schedule at all is answered with findings."""
    answer = msgspec.json.decode(msgspec.json.encode(decode_ssim(raw)))
    assert answer["findings"]
