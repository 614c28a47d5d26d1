"""Who may do what: the built-in plugin of accounts, sessions, roles, keys and the audit trail."""

from pss_kernel._version import __version__
from pss_kernel.config import IDENTITY
from pss_kernel.identity.accounts.events import EVENTS as ACCOUNT_EVENTS
from pss_kernel.identity.audit.events import AuditHeadNoted
from pss_kernel.identity.contracts import RefreshTokenReused
from pss_kernel.identity.factors.events import EVENTS as FACTOR_EVENTS
from pss_kernel.identity.permissions import PERMISSIONS
from pss_kernel.identity.persons.privacy import PERSONAL
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.plugin import Plugin

__all__ = ["plugin"]

plugin = Plugin(
    IDENTITY,
    version=__version__,
    summary="Accounts, sessions, roles, keys and the audit trail",
    settings=IdentitySettings,
    permissions=PERMISSIONS,
    emits=[*ACCOUNT_EVENTS, AuditHeadNoted, *FACTOR_EVENTS, RefreshTokenReused],
    personal=PERSONAL,
    modules=[
        "accounts.handlers",
        "accounts.jobs",
        "accounts.link_routes",
        "accounts.own_routes",
        "accounts.routes",
        "api_keys.routes",
        "audit.jobs",
        "audit.routes",
        "factors.handlers",
        "factors.jobs",
        "factors.own_routes",
        "factors.reset_routes",
        "factors.sign_in_routes",
        "factors.step_up_routes",
        "me.routes",
        "persons.hooks",
        "persons.routes",
        "sessions.jobs",
        "sessions.routes",
        "sign_on.routes",
        "roles.routes",
    ],
    package=__name__,
)
