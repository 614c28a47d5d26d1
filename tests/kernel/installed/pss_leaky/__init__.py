"""A plugin for the kernel's tests that gives one tenant's things to another, in every way."""

from pss_kernel import Permission, Plugin

from .contracts import SecretTold
from .settings import Settings

plugin = Plugin(
    "leaky",
    version="0.1.0",
    summary="Leaks",
    requires=["notes>=1.0"],
    permissions=[Permission("leaky:leak", "Leak", guest=True)],
    settings=Settings,
    emits=[SecretTold],
    modules=["routes", "hooks", "files", "more"],
)
