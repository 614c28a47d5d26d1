"""Calls to others: within their time, not too many at once, not to those who don't answer."""

from pss_kernel.outgoing._client import OutgoingAnswer, OutgoingClient
from pss_kernel.outgoing._limits import CallLimits
from pss_kernel.outgoing._registry import Outgoing
from pss_kernel.outgoing._target import NoAnswer, Target

__all__ = ["CallLimits", "NoAnswer", "Outgoing", "OutgoingAnswer", "OutgoingClient", "Target"]
