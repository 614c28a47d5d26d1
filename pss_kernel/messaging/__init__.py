"""Events: the log of each tenant, the outbox, delivery and recurring jobs."""

from pss_kernel.messaging._event import Event

__all__ = ["Event"]
