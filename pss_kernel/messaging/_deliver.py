"""Giving an event to those who consume it, bound to its tenant, effects exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from pss_kernel.auth import Actor
from pss_kernel.correlation import correlated
from pss_kernel.messaging._envelope import Envelope
from pss_kernel.messaging._waiting import absent_plugins, set_aside
from pss_kernel.persistence import Correlation, Freshness
from pss_kernel.plugin import Handler
from pss_kernel.resilience import Call
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import UnitOfWork
    from pss_kernel.tenancy import Tenant

__all__ = ["DeliveryFailed", "deliver", "deliver_to", "keep_for_absent"]

_log = structlog.get_logger("pss.messaging")

_RECEIVE = """
INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING consumer
"""
_RECEIVED = "SELECT 1 FROM inbox WHERE consumer = $1 AND event_id = $2"


class DeliveryFailed(Exception):  # noqa: N818 - says what happened, as the other problems do
    """At least one consumer failed; those that succeeded will not run again."""


async def deliver(installation: Installation, envelope: Envelope) -> None:
    """Give the event to every consumer that its tenant has enabled.

    For a plugin that can't be asked now it is set aside. Raises DeliveryFailed when one failed,
    so that the message is tried again later.
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
    await keep_for_absent(installation, envelope)
    if failed:
        raise DeliveryFailed(f"{envelope.type} {envelope.id}: {', '.join(failed)}")


async def keep_for_absent(installation: Installation, envelope: Envelope) -> None:
    """Set the event aside for plugins of its tenant whose code can't be asked here and now."""
    absent = absent_plugins(installation, envelope)
    if absent:
        tenant = installation.directory.by_code(envelope.tenant)
        await set_aside(installation, tenant, envelope, absent)


async def deliver_to(installation: Installation, handler: Handler, envelope: Envelope) -> None:
    """Run one consumer, unless it has had this event or its tenant has not enabled it."""
    tenant = await _consumer(installation, handler, envelope)
    if tenant is None:
        return
    event = msgspec.convert(envelope.data, handler.event)
    actor = Actor("system", handler.name)
    correlation = Correlation(envelope.correlation_id, str(envelope.id))
    call = Call(installation, tenant, handler.plugin, handler.budget, subject=envelope.id)
    with correlated(
        *(envelope.correlation_id, envelope.traceparent),
        tenant=tenant.code,
        handler=handler.name,
        correlation_id=envelope.correlation_id,
    ):
        if handler.takes == "uow":
            async with installation.unit_of_work(
                tenant, actor, correlation, plugin=handler.plugin
            ) as uow:
                if await _receive(uow, handler, envelope):
                    async with call:
                        await handler.function(uow=uow, event=event)
            return
        # One that calls other companies can't run in a single transaction: it must itself be
        # safe to repeat, and is marked as done after it has succeeded.
        async with installation.unit_of_work(tenant, actor, correlation) as uow:
            if await uow.hot(_RECEIVED, handler.name, envelope.id):
                return
        # What the event tells may not be on a replica yet.
        freshness = Freshness(primary_only=True)
        async with (
            installation.work(
                tenant, actor, correlation, plugin=handler.plugin, freshness=freshness
            ) as work,
            call,
        ):
            await handler.function(work=work, event=event)
        async with installation.unit_of_work(tenant, actor, correlation) as uow:
            await _receive(uow, handler, envelope)


async def _consumer(
    installation: Installation, handler: Handler, envelope: Envelope
) -> Tenant | None:
    """The event's tenant, or None where the event is not for the handler's plugin.

    Where it waits for the plugin it is set aside, as the same look at the tenant says.
    """
    directory = installation.directory
    if not directory.serves(envelope.tenant, handler.plugin):
        await directory.refresh()  # perhaps enabled a moment ago by another process
    tenant = directory.by_code(envelope.tenant)
    if tenant.waits(handler.plugin):
        await set_aside(installation, tenant, envelope, [handler.plugin])
        return None
    return tenant if tenant.consumes(handler.plugin, envelope.occurred_at) else None


async def _receive(uow: UnitOfWork, handler: Handler, envelope: Envelope) -> bool:
    async with uow.acting(KERNEL):
        return bool(await uow.hot(_RECEIVE, handler.name, envelope.id))
