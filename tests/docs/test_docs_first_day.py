"""The airline of "An airline's first day" sells, and its mistakes are told as the page says."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest
from docs_pages import ROOT

from pss_kernel.tenancy._file import InvalidTenant, load_tenant
from pss_kernel.tenancy._plan import plan_tenant

HERON = ROOT / "docs" / "examples" / "heron"
GUIDE = (ROOT / "docs" / "airline-first-day.md").read_text(encoding="utf-8")

# What the page makes wrong, in which file.
IN_TENANT = {
    "tenant.toml": {
        '"EUR"': '"EURO"',
        "Europe/Lisbon": "Europe/Lisboa",
        "hold_minutes": "hold_minuts",
        "[plugins.boarding]": "[plugins.lounge]",
    }
}
IN_FILES = {
    "schedule/always.ssim": {"LIS10301030": "LIS10751030", "OPO08300830": "OPQ08300830"},
    "fares/fares.toml": {
        '"BASIC", booking_class = "M"': '"BASIK", booking_class = "M"',
        '"29.00"': "29.0",
        "advance_purchase_days": "advance_purchase",
    },
    "taxes.toml": {'source = "set by Heron Air"\n': "", '"6.00"': '"6.005"'},
    "seatmaps/at7.toml": {"[1, 18]": "[18, 1]"},
}


async def test_example_airline_sells(kit: Any, http: Any) -> None:
    """Its files are sound, and a guest is offered both brands on both of its markets."""
    tenant = await kit.apply(HERON, code=f"heron_{id(kit) % 100_000}")
    guest = await http(tenant)
    day = (dt.datetime.now(dt.UTC) + dt.timedelta(days=8)).date().isoformat()
    for destination in ("OPO", "FAO"):
        answer = await guest.post(
            "/v1/offer-requests",
            json={
                "slices": [{"origin": "LIS", "destination": destination, "departure_date": day}],
                "passengers": [{"type": "adult"}],
            },
        )
        offers = answer.json()["offers"]
        assert {"Basic", "Free to change"} == {offer["brand"] for offer in offers}
        assert {"amount": "35.00", "currency": "EUR"} == offers[0]["total"]


@pytest.mark.parametrize("mistakes", [IN_TENANT, IN_FILES], ids=["tenant.toml", "other files"])
async def test_mistakes_are_told_as_printed(
    mistakes: dict[str, dict[str, str]],
    installation: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page prints what such files are refused with; "…" stands for the rest of a line."""
    monkeypatch.chdir(tmp_path)
    folder = Path("tenants/heron")
    shutil.copytree(HERON, folder)
    for name, changes in mistakes.items():
        text = (folder / name).read_text()
        for right, wrong in changes.items():
            assert right in text
            text = text.replace(right, wrong)
        (folder / name).write_text(text)
    with pytest.raises(InvalidTenant) as refused:
        await plan_tenant(installation, load_tenant(folder, installation.registry))
    printed = [line.removeprefix("Error: ") for line in GUIDE.splitlines()]
    cut = [line.removesuffix("…") for line in printed if line.endswith("…") and len(line) > 1]
    unsaid = [
        line
        for line in refused.value.detail.splitlines()
        if line not in printed and not line.startswith(tuple(cut))
    ]
    assert [] == unsaid
