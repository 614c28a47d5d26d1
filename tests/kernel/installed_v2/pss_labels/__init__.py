"""A plugin that gives things a title: the version that calls the column title."""

from pss_kernel import Permission, Plugin

plugin = Plugin(
    "labels",
    version="2.0.0",
    summary="Labels",
    permissions=[Permission("labels:write", "Read and write labels", guest=True)],
    modules=["routes", "hooks"],
)
