"""A tenant's messages in RabbitMQ: counted, and thrown away when it has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pss_kernel.errors import Unavailable

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

    from pss_kernel.installation import Installation

__all__ = ["DEAD_QUEUE", "messages_of"]

DEAD_QUEUE = "pss.dead"
_SECONDS = 10.0


class _Addressed(msgspec.Struct):
    tenant: str


async def messages_of(
    installation: Installation, code: str, *, remove: bool = False
) -> dict[str, int]:
    """How many messages of the tenant wait in each queue; with ``remove``, they no longer do.

    Only what is ready is seen: what a consumer has in hand comes back, or ends with it. Messages
    of others go back to their places. Raises Unavailable where RabbitMQ can't be reached.
    """
    url = installation.config.amqp_url
    if not url:
        return {}
    import aio_pika  # noqa: PLC0415 - slow, and most installations have no broker

    names = [
        f"pss.{handler.name}"
        for event_type in installation.registry.consumed
        for handler in installation.registry.handlers(event_type)
    ]
    try:
        connection = await aio_pika.connect(url, timeout=_SECONDS)
        async with connection:
            return {
                name: await _in_queue(connection, name, code, remove=remove)
                for name in sorted({*names, DEAD_QUEUE})
            }
    except (OSError, aio_pika.exceptions.AMQPError) as error:
        raise Unavailable(
            f"RabbitMQ can't be asked: {error!r}.",
            code="broker-unavailable",
            mend="Start it, or correct PSS_AMQP_URL.",
        ) from error


async def _in_queue(connection: AbstractConnection, name: str, code: str, *, remove: bool) -> int:
    """Look at each ready message once; all that is not acknowledged goes back at the end."""
    import aio_pika  # noqa: PLC0415 - see above

    found = 0
    channel = await connection.channel()
    try:
        queue = await channel.declare_queue(name, passive=True)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return 0  # no worker has made it yet
    for _ in range(queue.declaration_result.message_count or 0):
        message = await queue.get(fail=False, timeout=_SECONDS)
        if message is None:
            break
        if _tenant_of(message) == code:
            found += 1
            if remove:
                await message.ack()
    await channel.close()
    return found


def _tenant_of(message: AbstractIncomingMessage) -> str | None:
    try:
        return msgspec.json.decode(message.body, type=_Addressed).tenant
    except msgspec.DecodeError:
        return None  # not ours
