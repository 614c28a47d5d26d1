"""Giving an event to those who consume it, bound to its tenant, effects exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from pss_kernel.auth import Actor
from pss_kernel.errors import TenantUnknown
from pss_kernel.messaging._envelope import Envelope
from pss_kernel.persistence import Correlation
from pss_kernel.plugin import Handler
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import UnitOfWork
    from pss_kernel.tenancy import Tenant

__all__ = ["DeliveryFailed", "absent_plugins", "deliver", "deliver_to"]

_log = structlog.get_logger("pss.messaging")

_RECEIVE = """
INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING consumer
"""
_RECEIVED = "SELECT 1 FROM inbox WHERE consumer = $1 AND event_id = $2"


class DeliveryFailed(Exception):  # noqa: N818 - says what happened, as the other problems do
    """At least one consumer failed; those that succeeded will not run again."""


async def deliver(installation: Installation, envelope: Envelope) -> None:
    """Give the event to every consumer that its tenant has enabled.

    Raises DeliveryFailed when one failed, so that the message is tried again later.
    """
    failed: list[str] = []
    for handler in installation.registry.handlers(envelope.type):
        try:
            await deliver_to(installation, handler, envelope)
        except Exception:  # noqa: BLE001 - the message loop: one consumer must not stop the others
            _log.exception(
                "handler_failed",
                tenant=envelope.tenant,
                handler=handler.name,
                event_type=envelope.type,
                event_id=str(envelope.id),
            )
            failed.append(handler.name)
    failed += absent_plugins(installation, envelope)
    if failed:
        raise DeliveryFailed(f"{envelope.type} {envelope.id}: {', '.join(failed)}")


def absent_plugins(installation: Installation, envelope: Envelope) -> list[str]:
    """Plugins of the tenant that can't be asked here and now: the event waits for them.

    They may handle it once they are mended, or once this process is as new as the one that
    enabled them; nobody can tell before.
    """
    try:
        tenant = installation.directory.by_code(envelope.tenant)
    except TenantUnknown:
        return []
    absent = [
        name
        for name, one in tenant.plugins.items()
        if name != KERNEL
        and (
            one.state == "failed"
            or (one.state == "enabled" and name not in installation.registry.plugins)
        )
    ]
    if absent:
        _log.warning("event_waits", tenant=tenant.code, plugins=absent, event_type=envelope.type)
    return absent


async def deliver_to(installation: Installation, handler: Handler, envelope: Envelope) -> None:
    """Run one consumer, unless it has had this event or its tenant has not enabled it."""
    tenant = await _consumer(installation, handler, envelope)
    if tenant is None:
        return
    event = msgspec.convert(envelope.data, handler.event)
    actor = Actor("system", handler.name)
    correlation = Correlation(envelope.correlation_id, str(envelope.id))
    with structlog.contextvars.bound_contextvars(
        tenant=tenant.code, handler=handler.name, correlation_id=envelope.correlation_id
    ):
        if handler.takes == "uow":
            async with installation.unit_of_work(
                tenant, actor, correlation, plugin=handler.plugin
            ) as uow:
                if await _receive(uow, handler, envelope):
                    await handler.function(uow=uow, event=event)
            return
        # One that calls other companies can't run in a single transaction: it must itself be
        # safe to repeat, and is marked as done after it has succeeded.
        async with installation.unit_of_work(tenant, actor, correlation) as uow:
            if await uow.hot(_RECEIVED, handler.name, envelope.id):
                return
        work = installation.work(tenant, actor, correlation, plugin=handler.plugin)
        await handler.function(work=work, event=event)
        async with installation.unit_of_work(tenant, actor, correlation) as uow:
            await _receive(uow, handler, envelope)


async def _consumer(
    installation: Installation, handler: Handler, envelope: Envelope
) -> Tenant | None:
    """The event's tenant, or None where the event is not for the handler's plugin."""
    directory = installation.directory
    if not directory.serves(envelope.tenant, handler.plugin):
        await directory.refresh()  # perhaps enabled a moment ago by another process
    tenant = directory.by_code(envelope.tenant)
    return tenant if tenant.consumes(handler.plugin, envelope.occurred_at) else None


async def _receive(uow: UnitOfWork, handler: Handler, envelope: Envelope) -> bool:
    async with uow.acting(KERNEL):
        return bool(await uow.hot(_RECEIVE, handler.name, envelope.id))
