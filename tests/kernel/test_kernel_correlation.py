"""One request's id and trace go through log lines, events, handlers, jobs and the audit trail."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import structlog
from sqlalchemy import text

from pss_kernel import UnitOfWork
from pss_kernel.config import IDENTITY
from pss_kernel.correlation import CurrentCorrelation, correlated, current_correlation
from pss_kernel.ids import new_id
from pss_kernel.testing import TestKit

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_SPAN = "00f067aa0ba902b7"


def _continued(traceparent: str, tracestate: str = "") -> CurrentCorrelation:
    with correlated("req_1", traceparent, tracestate) as made:
        assert made == current_correlation()
    assert current_correlation() is None
    return made


def test_a_trace_goes_on() -> None:
    """The trace is the caller's, the part in it ours; of the flags the one that is known."""
    made = _continued(f"00-{_TRACE}-{_SPAN}-ff", "vendor=1")
    assert (_TRACE, "01", "vendor=1") == (made.trace_id, made.flags, made.state)
    assert made.span_id != _SPAN
    assert {
        "PSS-Request-Id": "req_1",
        "traceparent": f"00-{_TRACE}-{made.span_id}-01",
        "tracestate": "vendor=1",
    } == made.headers


def test_a_later_version_goes_on() -> None:
    """What follows the parts that are known is left out (W3C Trace Context, section 4.3)."""
    assert _TRACE == _continued(f"cc-{_TRACE}-{_SPAN}-00-more").trace_id


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00",
        f"ff-{_TRACE}-{_SPAN}-00",
        f"00-{_TRACE}-{_SPAN}-00-more",
        f"00-{'0' * 32}-{_SPAN}-00",
        f"00-{_TRACE}-{'0' * 16}-00",
        f"00-{_TRACE.upper()}-{_SPAN}-00",
        f"00-{_TRACE}-{_SPAN}-00\n",
        f"00-{_TRACE}-{_SPAN}",
    ],
)
def test_a_trace_that_is_none(wrong: str) -> None:
    """Anything else is as good as none, its state too: a trace of our own begins."""
    made = _continued(wrong, "vendor=1")
    assert made.trace_id != _TRACE
    assert (32, 16, "00", "") == (len(made.trace_id), len(made.span_id), made.flags, made.state)


async def test_through_everything(kit: TestKit, scripts: dict[str, Any]) -> None:
    """From the request to its log lines, its event, the event's handler and the audit trail."""
    tenant = await kit.make_tenant(plugins=["echo"])
    seen: dict[str, Any] = {}

    async def writing(uow: UnitOfWork, *_: Any) -> None:
        seen["request"] = current_correlation()
        seen["line"] = structlog.contextvars.get_contextvars()
        uow.audit("note.written", "nte_1")

    async def copying(*_: Any) -> None:
        seen["handler"] = current_correlation()
        seen["handler line"] = structlog.contextvars.get_contextvars()

    scripts |= {"writing": writing, "copying": copying}
    request_id = new_id("req")
    async with kit.http(tenant, ["*"]) as client:
        answer = await client.post(
            "/v1/notes",
            json={"body": "x"},
            headers={"PSS-Request-Id": request_id, "traceparent": f"00-{_TRACE}-{_SPAN}-01"},
        )
    assert (201, request_id) == (answer.status_code, answer.headers["PSS-Request-Id"])
    await kit.deliver(tenant)
    for who in ("request", "handler"):
        assert (request_id, _TRACE, "01") == (
            seen[who].correlation_id,
            seen[who].trace_id,
            seen[who].flags,
        )
    assert seen["request"].span_id != seen["handler"].span_id
    assert (request_id, _TRACE) == (seen["line"]["request_id"], seen["line"]["trace_id"])
    line = seen["handler line"]
    assert (request_id, _TRACE) == (line["correlation_id"], line["trace_id"])
    async with kit.unit_of_work(tenant) as uow, uow.acting(IDENTITY):
        entries = await uow.fetch_all(text("SELECT entry FROM audit_entry"))
        (entry,) = [
            one
            for row in entries
            if (one := msgspec.json.decode(row["entry"]))["subject"] == "nte_1"
        ]
    assert (request_id, _TRACE) == (entry["request"], entry["trace"])


async def test_a_request_without_any(kit: TestKit, scripts: dict[str, Any]) -> None:
    """It gets an id and a trace of its own; two headers of a trace are none."""
    tenant = await kit.make_tenant(plugins=["echo"])
    seen = []

    async def writing(*_: Any) -> None:
        seen.append(current_correlation())

    scripts["writing"] = writing
    async with kit.http(tenant, ["*"]) as client:
        given = ("traceparent", f"00-{_TRACE}-{_SPAN}-01")
        for headers in ([], [given, given]):
            answer = await client.post("/v1/notes", json={"body": "x"}, headers=headers)
            found = seen.pop()
            assert found.correlation_id == answer.headers["PSS-Request-Id"]
            assert found.trace_id != _TRACE
