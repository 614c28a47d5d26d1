"""The kernel's version, as plugins require it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
