"""An airline's fares and taxes, from its files into its tables."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pss_kernel import FieldError, FileFinding, Invalid, Progress, UnitOfWork

from . import plugin
from .domain.filed import FareFiling, TaxFiling
from .filing.fares import read_fares
from .filing.taxes import read_taxes
from .filings import replace_fares, replace_taxes

__all__ = ["check_fares", "check_taxes", "load_fares", "load_taxes"]


def check_fares(path: Path) -> list[FileFinding]:
    """What is wrong with one file, read together with the others of its folder."""
    _, findings = _read_once({path, *path.parent.glob("*.toml")})
    return [finding for finding in findings if finding.path == path]


def _read_once(paths: Iterable[Path]) -> tuple[FareFiling, list[FileFinding]]:
    """The files are checked one by one and then loaded, but mean something only together."""
    return _read(tuple((path, path.stat().st_mtime_ns) for path in sorted(paths)))


@lru_cache(maxsize=1)
def _read(stamped: tuple[tuple[Path, int], ...]) -> tuple[FareFiling, list[FileFinding]]:
    return read_fares(path for path, _ in stamped)


def check_taxes(path: Path) -> list[FileFinding]:
    """What is wrong with the file."""
    return read_taxes(path)[1]


@plugin.tenant_files("fares", pattern="fares/*.toml", check=check_fares)
async def load_fares(uow: UnitOfWork, paths: list[Path], progress: Progress) -> str:
    """Replace the filing by these files, whole. Raises Invalid when they are not sound."""
    filing, findings = _read_once(paths)
    _refuse(findings)
    if paths:
        _refuse_currency(uow, filing.terms.currency, paths[0])
    progress(1, 2)
    changed = await replace_fares(uow, filing)
    progress(2, 2)
    if not changed:
        return "The fares are as filed before."
    markets = len({(fare.origin, fare.destination) for fare in filing.fares})
    return (
        f"Filed {len(filing.fares)} fares in {markets} markets "
        f"under {len(filing.terms.brands)} brands."
    )


@plugin.tenant_files("taxes", pattern="taxes.toml", check=check_taxes)
async def load_taxes(uow: UnitOfWork, paths: list[Path], progress: Progress) -> str:
    """Replace taxes and exchange rates by the file. Raises Invalid when it is not sound."""
    filing = TaxFiling(currency=uow.tenant.currency)
    for path in paths:
        filing, findings = read_taxes(path)
        _refuse(findings)
        _refuse_currency(uow, filing.currency, path)
    changed = await replace_taxes(uow, filing)
    progress(1, 1)
    if not changed:
        return "The taxes are as filed before."
    return f"Filed {len(filing.taxes)} taxes and {len(filing.exchange_rates)} exchange rates."


def _refuse(findings: list[FileFinding]) -> None:
    errors = [
        FieldError(
            pointer=f"{finding.path}:{finding.line or 1}",
            detail=f"{finding.message} {finding.mend}".strip(),
            code="invalid-filing",
        )
        for finding in findings
        if finding.severity == "error"
    ]
    if errors:
        raise Invalid("The filing has errors; each is listed.", errors=errors)


def _refuse_currency(uow: UnitOfWork, currency: str, path: Path) -> None:
    if currency != uow.tenant.currency:
        raise Invalid(
            f"{path} is in {currency}, but {uow.tenant.name} sells in {uow.tenant.currency}.",
            code="wrong-currency",
            mend=f'Write currency = "{uow.tenant.currency}" and its amounts.',
        )
