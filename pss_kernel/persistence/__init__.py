"""Storage: engines, the unit of work, migrations, the embedded server."""

from pss_kernel.persistence._database import Database, Roles
from pss_kernel.persistence._database_problem import database_problem
from pss_kernel.persistence._idempotency import Answered, Idempotency
from pss_kernel.persistence._metadata import tenant_metadata
from pss_kernel.persistence._opening import open_unit_of_work
from pss_kernel.persistence._position import Freshness
from pss_kernel.persistence._replica import ReplicaLost
from pss_kernel.persistence._unit_of_work import Correlation, UnitOfWork
from pss_kernel.persistence._work import Work

__all__ = [
    "Answered",
    "Correlation",
    "Database",
    "Freshness",
    "Idempotency",
    "ReplicaLost",
    "Roles",
    "UnitOfWork",
    "Work",
    "database_problem",
    "open_unit_of_work",
    "tenant_metadata",
]
