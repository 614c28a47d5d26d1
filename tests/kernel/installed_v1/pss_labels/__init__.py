"""A plugin that gives things a caption: the version before the column got a better name."""

from pss_kernel import Permission, Plugin

plugin = Plugin(
    "labels",
    version="1.0.0",
    summary="Labels",
    permissions=[Permission("labels:write", "Read and write labels", guest=True)],
    modules=["routes"],
)
