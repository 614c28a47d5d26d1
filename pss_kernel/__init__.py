"""The façade: all that a plugin may import from the kernel."""

from pss_kernel._version import __version__
from pss_kernel.answers import Answer, Content, Page
from pss_kernel.auth import Actor, Own, UpTo
from pss_kernel.errors import (
    BadRequest,
    Conflict,
    FieldError,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    PluginNotEnabled,
    Problem,
    Unauthorised,
    Unavailable,
    UpstreamUnavailable,
)
from pss_kernel.hooks import hookspec, service
from pss_kernel.ids import check_id, new_id
from pss_kernel.keys import ERASED, Erased, Personal, Secret
from pss_kernel.masking import PersonalData
from pss_kernel.messaging import Event
from pss_kernel.money import Money, exponent, round_share
from pss_kernel.outgoing import CallLimits, OutgoingAnswer, OutgoingClient
from pss_kernel.persistence import UnitOfWork, Work, tenant_metadata
from pss_kernel.personal import (
    ErasedData,
    PersonalRecord,
    PersonalTable,
    PersonQuery,
    erase_personal_data,
    find_persons,
    personal_data_of,
    reasons_to_keep,
)
from pss_kernel.plugin import FileFinding, Permission, Plugin, Progress
from pss_kernel.rollout.contracts import migration_health
from pss_kernel.tenancy import Tenant

__all__ = [
    "ERASED",
    "Actor",
    "Answer",
    "BadRequest",
    "CallLimits",
    "Conflict",
    "Content",
    "Erased",
    "ErasedData",
    "Event",
    "FieldError",
    "FileFinding",
    "Forbidden",
    "Gone",
    "Invalid",
    "Money",
    "NotFound",
    "OutgoingAnswer",
    "OutgoingClient",
    "Own",
    "Page",
    "Permission",
    "PersonQuery",
    "Personal",
    "PersonalData",
    "PersonalRecord",
    "PersonalTable",
    "Plugin",
    "PluginNotEnabled",
    "Problem",
    "Progress",
    "Secret",
    "Tenant",
    "Unauthorised",
    "Unavailable",
    "UnitOfWork",
    "UpTo",
    "UpstreamUnavailable",
    "Work",
    "__version__",
    "check_id",
    "erase_personal_data",
    "exponent",
    "find_persons",
    "hookspec",
    "migration_health",
    "new_id",
    "personal_data_of",
    "reasons_to_keep",
    "round_share",
    "service",
    "tenant_metadata",
]
