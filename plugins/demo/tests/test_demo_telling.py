"""What is told and written."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from pss_demo.commands import app
from pss_demo.expectation import WentWrong, refused_with, require
from pss_demo.narrator import Narrator
from pss_demo.summary import AirlineSummary, OrderFacts, Refusal, Step, Summary, totals_of, write
from pss_sdk import ApiProblem

SOLD_OUT = ApiProblem(status=409, code="sold-out", detail="No seat is left.")


def facts(reference: str, total: str, tickets: list[str]) -> OrderFacts:
    """Make the facts of an order."""
    return OrderFacts(
        id=f"ord_{reference}",
        booking_reference=reference,
        status="ticketed" if tickets else "cancelled",
        total=total,
        currency="EUR",
        route=["LHR-VIE-ATH"],
        passengers=["Ada Example"],
        tickets=tickets,
    )


def test_a_step_is_told_in_plain_text_with_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody looks, there are no colours, no movement and no broken lines."""
    narrator = Narrator(to_stderr=False)
    narrator.chapter("An airline [EUR]")
    with narrator.step("They order it") as telling:
        telling.outcome = "word " * 60
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    heading, step, outcome = printed.strip().splitlines()
    assert heading == "An airline [EUR]"
    assert re.fullmatch(r"  [✓+] They order it +\d+\.\d\d s", step)
    assert outcome.strip() == ("word " * 60).strip()
    assert [one.what for one in narrator.steps] == ["They order it"]


def test_a_refusal_is_told_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """What had to be refused and was is a step of its own kind, with its code."""
    narrator = Narrator(to_stderr=True)
    with narrator.step("Emil orders") as telling, refused_with(telling, "sold-out"):
        raise SOLD_OUT
    assert narrator.refusals == [Refusal("Emil orders", "sold-out", "No seat is left.")]
    assert "(sold-out)" in capsys.readouterr().err


def test_a_step_that_fails_is_told_and_its_error_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error reaches the command; the step stands there as failed."""
    narrator = Narrator(to_stderr=False)
    with pytest.raises(WentWrong), narrator.step("They board"):
        require(False, "The gate stayed closed.")
    assert [one.outcome for one in narrator.steps] == ["failed"]
    assert "! They board" in capsys.readouterr().out


def test_another_refusal_than_expected_is_wrong() -> None:
    """A different code, or none, is a step that did not go as told."""
    narrator = Narrator(to_stderr=False)
    with (
        pytest.raises(WentWrong, match="sold-out"),
        narrator.step("Emil orders") as telling,
        refused_with(telling, "offer-expired"),
    ):
        raise SOLD_OUT
    with (
        pytest.raises(WentWrong, match="but was not"),
        narrator.step("Emil orders") as telling,
        refused_with(telling, "sold-out"),
    ):
        pass


def test_totals_count_what_was_paid() -> None:
    """Only orders with tickets count as paid."""
    part = AirlineSummary(
        tenant="aurelis",
        steps=[Step("a", "", 1.25), Step("b", "", 0.5)],
        refusals=[Refusal("b", "sold-out", "")],
        orders=[facts("AAAAAA", "99.50", ["9912400000001"]), facts("BBBBBB", "10.00", [])],
        files=["a.png"],
    )
    assert totals_of(part) == {
        "steps": 2,
        "refusals": 1,
        "orders": 2,
        "tickets": 1,
        "boarding_pass_files": 1,
        "seconds": 1.75,
        "paid": "99.50 EUR",
    }


def test_the_summary_is_json_that_can_be_read_back(tmp_path: Path) -> None:
    """Everything is there, also of a run that failed."""
    summary = Summary(
        started_at=datetime(2026, 11, 22, tzinfo=UTC),
        problem="The server ended before it answered.",
        airlines=[AirlineSummary(tenant="pipit", orders=[facts("AAAAAA", "1.00", [])])],
    )
    path = tmp_path / "new" / "summary.json"
    write(path, summary)
    assert msgspec.json.decode(path.read_bytes(), type=Summary) == summary


def test_a_step_that_is_interrupted_is_told_as_stopped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C is nobody's failure."""
    narrator = Narrator(to_stderr=False)
    with pytest.raises(asyncio.CancelledError), narrator.step("They board"):
        raise asyncio.CancelledError
    assert [one.outcome for one in narrator.steps] == ["stopped"]
    assert "stopped" in capsys.readouterr().out


def test_the_marks_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Who sees a cross knows that it had to be."""
    Narrator(to_stderr=False).legend()
    assert "is a refusal that should happen" in capsys.readouterr().out


def test_the_command_has_no_commands_below_it() -> None:
    """Its usage line promises none."""
    shown = CliRunner().invoke(app, ["--help"], prog_name="pss demo")
    assert shown.output.lstrip().splitlines()[0].strip().endswith("pss demo [OPTIONS]")
