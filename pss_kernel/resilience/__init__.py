"""What one plugin may cost at one tenant: meters, budgets, a share of the pool, and a breaker."""

from pss_kernel.resilience._breaker import Breaker
from pss_kernel.resilience._call import Call, blame, seconds_left
from pss_kernel.resilience._flushing import flush_every
from pss_kernel.resilience._meter import Counts, Limits, Meter, Meters
from pss_kernel.resilience._statement import Statement

__all__ = [
    "Breaker",
    "Call",
    "Counts",
    "Limits",
    "Meter",
    "Meters",
    "Statement",
    "blame",
    "flush_every",
    "seconds_left",
]
