"""Hooks: what a capability lets others extend, and the dispatcher that calls them.

pluggy declares and validates them; the dispatcher is the kernel's own, because an extension
point here is asynchronous, belongs to a tenant and has a time budget.
"""

from pss_kernel.hooks._dispatch import HookFailed, call_hook
from pss_kernel.hooks._spec import HookKind, HookSpec, Service, hookspec, service

__all__ = ["HookFailed", "HookKind", "HookSpec", "Service", "call_hook", "hookspec", "service"]
