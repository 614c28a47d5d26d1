"""Secrets and personal data: what is encrypted at rest, and the keys that open it."""

from pss_kernel.keys._personal import ERASED, Erased, Personal
from pss_kernel.keys._secret import Secret

__all__ = ["ERASED", "Erased", "Personal", "Secret"]
