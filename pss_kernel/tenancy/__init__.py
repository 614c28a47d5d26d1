"""Tenants: who they are, what they have enabled, and the files that describe them."""

from pss_kernel.tenancy._directory import Directory
from pss_kernel.tenancy._tenant import Tenant

__all__ = ["Directory", "Tenant"]
