"""What a request needs of the caller's factors; decided for each one, without the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pss_kernel.errors import Forbidden, StepUpRequired
from pss_kernel.identity.factors.methods import two_factors
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import UnitOfWork
    from pss_kernel.plugin import Permission
    from pss_kernel.tenancy import Tenant

__all__ = ["check_factors", "require_step_up"]


def check_factors(
    installation: Installation, tenant: Tenant, actor: Actor, permission: Permission
) -> None:
    """Refuse what the caller may do in principle, but not with the factors that it has given.

    Raises Forbidden: ``second-factor-required`` for a person of a role that needs a second factor
    and a session without one; StepUpRequired for a permission that needs a fresh one. A key is no
    person: it has such a permission where its scopes name it (see ``scopes_of``).
    """
    if actor.kind == "user":
        settings = installation.settings_of(tenant, IdentitySettings)
        _refuse_one_factor(settings, actor, permission)
        if permission.step_up:
            _refuse_stale(settings, actor)


def require_step_up(uow: UnitOfWork) -> None:
    """Refuse a person who has not given a second factor a few minutes ago at the most."""
    if uow.actor.kind == "user":
        _refuse_stale(uow.settings(IdentitySettings), uow.actor)


def _refuse_one_factor(settings: IdentitySettings, actor: Actor, permission: Permission) -> None:
    # To sign in and out, and to enrol a factor, must be possible without one.
    if permission.guest and permission.name.startswith("identity:"):
        return
    needing = settings.second_factor_roles
    if two_factors(actor.methods) or frozenset(actor.roles).isdisjoint(needing):
        return
    raise Forbidden(
        "Your role needs a second factor, and you have signed in without one.",
        code="second-factor-required",
        mend="Enrol one at POST /v1/me/factors/totp or /v1/me/factors/passkeys, or sign in with "
        "the one that you have.",
    )


def _refuse_stale(settings: IdentitySettings, actor: Actor) -> None:
    longest = timedelta(minutes=settings.step_up_minutes)
    at = actor.authenticated_at
    if two_factors(actor.methods) and at is not None and datetime.now(UTC) - at <= longest:
        return
    raise StepUpRequired(
        "This needs a second factor that was given a short while ago.",
        max_age=int(longest.total_seconds()),
        mend="Give one at POST /v1/sessions/current/step-up and use the access token that it "
        "answers with; who has none enrols one at POST /v1/me/factors/totp first.",
    )
