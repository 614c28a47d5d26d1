"""The airline's own schedule files, and `pss decode ssim`."""

from pathlib import Path

from pss_kernel import Progress, UnitOfWork

from . import plugin
from .checks import check_schedule
from .schedule import load_schedule
from .ssim import Reading, read

__all__ = ["decode_ssim", "load_files"]


@plugin.tenant_files("schedule", pattern="schedule/*.ssim", check=check_schedule)
async def load_files(uow: UnitOfWork, paths: list[Path], progress: Progress) -> str:
    """Make the flights those of the airline's schedule files."""
    files = {path.name: path.read_bytes() for path in sorted(paths)}
    report = await load_schedule(uow, files, source="tenant", progress=progress)
    return report.sentence()


@plugin.decoder("ssim")
def decode_ssim(raw: bytes) -> Reading:
    """Read an SSIM chapter 7 file, with everything that is wrong with it."""
    return read(raw)
