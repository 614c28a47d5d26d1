"""The ``pss`` command."""

from pss_kernel.cli._main import main

__all__ = ["main"]
