"""A second plugin for the kernel's tests: extends the notes plugin and hears its events."""

from pss_kernel import Permission, Plugin

plugin = Plugin(
    "echo",
    version="0.3.0",
    summary="Repeats what notes say",
    requires=["notes>=1.0"],
    permissions=[Permission("echo:hear", "Hear an echo", level="user")],
    modules=["routes", "hooks", "handlers"],
)
