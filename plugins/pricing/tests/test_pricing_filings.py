"""Filings that are remembered between requests: a new one counts at once, each tenant's own."""

from datetime import date
from pathlib import Path
from typing import Any

from pss_kernel.testing import TestKit
from pss_pricing.filing.fares import read_fares
from pss_pricing.filings import read_filed, replace_fares

DAYS = [date(2027, 6, 1)]
MARKETS = [("VIE", "LHR")]


async def file(kit: TestKit, tenant: Any, folder: Path, name: str) -> None:
    """File fares of one brand with that name."""
    path = folder / f"{name}.toml"
    path.write_text(
        'currency = "EUR"\n[[brand]]\ncode = "ONE"\n'
        f'name = "{name}"\ncabin = "economy"\n'
        '[[fare]]\nmarket = "VIE-LHR"\nbrand = "ONE"\nbooking_class = "Y"\n'
        'basis = "YONE"\none_way = "10.00"\n'
    )
    filing, findings = read_fares([path])
    assert [] == findings
    async with kit.unit_of_work(tenant) as uow:
        await replace_fares(uow, filing)


async def brand_of(kit: TestKit, tenant: Any) -> str:
    """The name of the brand that a price would be of now."""
    async with kit.unit_of_work(tenant) as uow:
        filed = await read_filed(uow, MARKETS, DAYS)
    assert filed.terms is not None
    return filed.terms.brands[0].name


async def test_a_new_filing_counts_at_once(kit: TestKit, tmp_path: Path) -> None:
    """What a process remembers of the last filing does not outlive it."""
    tenant = await kit.make_tenant(plugins=["pricing"])
    await file(kit, tenant, tmp_path, "First")
    assert "First" == await brand_of(kit, tenant)
    await file(kit, tenant, tmp_path, "Second")
    assert "Second" == await brand_of(kit, tenant)


async def test_each_tenant_reads_its_own_filing(kit: TestKit, tmp_path: Path) -> None:
    """Two airlines that ask in turn never see each other's terms."""
    one = await kit.make_tenant(plugins=["pricing"])
    other = await kit.make_tenant(plugins=["pricing"])
    await file(kit, one, tmp_path, "Ours")
    await file(kit, other, tmp_path, "Theirs")
    seen = [await brand_of(kit, tenant) for tenant in (one, other, one, other)]
    assert ["Ours", "Theirs", "Ours", "Theirs"] == seen
