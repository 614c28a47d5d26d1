"""The main job of an airline, shown from outside: ``pss demo``. No airline enables it."""

from pss_kernel import Plugin

__all__ = ["plugin"]

plugin = Plugin(
    "demo",
    version="0.1.0",
    summary="The command 'pss demo': a narrated journey through HTTP",
    modules=["commands"],
)
