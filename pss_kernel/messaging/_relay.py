"""From the outbox to the consumers: in place, or through RabbitMQ when it is configured."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import (
    Channel,
    ExchangeType,
    RabbitBroker,
    RabbitExchange,
    RabbitQueue,
)
from faststream_outbox import ExponentialRetry, OutboxBroker, make_dlq_table, make_outbox_table
from sqlalchemy import MetaData, text
from tenacity import (
    AsyncRetrying,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from pss_kernel.errors import TenantMoving, TenantUnknown, Unavailable
from pss_kernel.messaging._deliver import deliver, deliver_to, keep_for_absent
from pss_kernel.messaging._envelope import Envelope
from pss_kernel.messaging._log import OUTBOX_QUEUE
from pss_kernel.persistence import Database
from pss_kernel.plugin import Handler

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["relay_running"]

_RETRY = ExponentialRetry(
    initial_delay_seconds=0.2,
    multiplier=2.0,
    max_delay_seconds=300.0,
    jitter_factor=0.2,
    max_attempts=12,
)
_PUT_BACK = text(f"""
INSERT INTO pss.outbox (queue, payload, headers, next_attempt_at)
VALUES ('{OUTBOX_QUEUE}', :payload, '{{"content-type": "application/json"}}',
        now() + interval '5 seconds')
""")  # noqa: S608 - the queue's name is ours
_EXCHANGE = RabbitExchange("pss.events", type=ExchangeType.TOPIC, durable=True)
_DEAD_EXCHANGE = RabbitExchange("pss.dead", type=ExchangeType.FANOUT, durable=True)
_trouble = logging.getLogger("pss.relay")
_trouble.setLevel(logging.WARNING)  # each message by itself is not worth a line
_decode = msgspec.json.Decoder(Envelope).decode


async def _raw(message: StreamMessage[Any]) -> bytes:
    """The body as it came: the envelope has its own decoder."""
    return bytes(message.body)


@asynccontextmanager
async def relay_running(installation: Installation) -> AsyncIterator[None]:
    """Relay and consume while the block lasts."""
    async with AsyncExitStack() as stack:
        rabbit = None
        if installation.config.amqp_url:
            rabbit = await stack.enter_async_context(_rabbit(installation))
        for database in installation.cells.values():
            outbox = _outbox(installation, database, rabbit)
            await outbox.start()
            stack.push_async_callback(outbox.stop)
        yield


def _outbox(
    installation: Installation, database: Database, rabbit: RabbitBroker | None
) -> OutboxBroker:
    """The relay of one cell; where a handler's tenant lives is its unit of work's matter."""
    metadata = MetaData(schema="pss")
    broker = OutboxBroker(
        database.relay_engine,
        outbox_table=make_outbox_table(metadata, "outbox"),
        dlq_table=make_dlq_table(metadata, "outbox_dead"),
        graceful_timeout=10.0,
        logger=_trouble,
        decoder=_raw,
        apply_types=False,
        # What a handler says of its failure may hold personal data; its kind is enough here,
        # the log has the rest.
        last_exception_renderer=lambda error: type(error).__name__,
    )

    @broker.subscriber(
        OUTBOX_QUEUE,
        max_workers=4,
        fetch_batch_size=20,
        min_fetch_interval=0.05,
        max_fetch_interval=0.5,
        lease_ttl_seconds=60.0,
        retry_strategy=_RETRY,
    )
    async def relay(body: bytes) -> None:
        envelope = _decode(body)
        if _is_away(installation, envelope.tenant):
            await _put_back(installation, body)
        elif rabbit is None:
            await deliver(installation, envelope)
        else:
            await keep_for_absent(installation, envelope)  # no queue of theirs may be there
            await rabbit.publish(
                body,
                exchange=_EXCHANGE,
                routing_key=f"{envelope.tenant}.{envelope.type}",
                message_id=str(envelope.id),
                correlation_id=envelope.correlation_id,
                content_type="application/json",
                persist=True,
                mandatory=False,  # an event that nobody consumes is fine
            )

    return broker


@asynccontextmanager
async def _rabbit(installation: Installation) -> AsyncIterator[RabbitBroker]:
    """A broker with a durable queue for each consumer."""
    broker = RabbitBroker(
        installation.config.amqp_url or "",
        graceful_timeout=10.0,
        logger=_trouble,
        default_channel=Channel(prefetch_count=8),
        decoder=_raw,
        apply_types=False,
    )
    for event_type in installation.registry.consumed:
        for handler in installation.registry.handlers(event_type):
            _consume(installation, broker, handler, event_type)
    await broker.connect()
    await broker.declare_exchange(_EXCHANGE)
    dead = await broker.declare_exchange(_DEAD_EXCHANGE)
    resting = await broker.declare_queue(RabbitQueue("pss.dead", durable=True))
    await resting.bind(dead)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def _consume(
    installation: Installation, broker: RabbitBroker, handler: Handler, event_type: str
) -> None:
    queue = RabbitQueue(
        f"pss.{handler.name}",
        durable=True,
        routing_key=f"*.{event_type}",
        arguments={"x-dead-letter-exchange": _DEAD_EXCHANGE.name},
    )

    @broker.subscriber(queue, _EXCHANGE, ack_policy=AckPolicy.REJECT_ON_ERROR)
    async def consume(body: bytes) -> None:
        envelope = _decode(body)
        try:
            async for attempt in _attempts():
                with attempt:
                    await deliver_to(installation, handler, envelope)
        except Unavailable:
            if not _is_away(installation, envelope.tenant):
                raise
            await _put_back(installation, body)


def _attempts() -> AsyncRetrying:
    """A few tries with growing pauses; after the last the message rests in ``pss.dead``."""
    return AsyncRetrying(
        stop=stop_after_attempt(6),
        wait=wait_exponential_jitter(multiplier=0.2, max=10),
        retry=retry_if_not_exception_type(TenantMoving),
        reraise=True,
    )


def _is_away(installation: Installation, code: str) -> bool:
    """Whether the tenant is being moved, or its cell can't be reached."""
    directory = installation.directory
    try:
        tenant = directory.by_code(code)
    except TenantUnknown:
        return False
    except Unavailable:
        return True
    return tenant.placement == "moving" or tenant.cell in directory.unreachable


async def _put_back(installation: Installation, body: bytes) -> None:
    """Into the control cell's outbox for a while, so that it stands in nobody's way.

    From there it goes to every consumer again; those that have had it do nothing. However long it
    takes, it does not end among the dead ones.
    """
    async with installation.database.relay_engine.begin() as connection:
        await connection.execute(_PUT_BACK, {"payload": body})
