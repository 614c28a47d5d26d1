"""A test kit for plugin authors: fixtures on a real database, the real application in process.

Installed with the kernel as a pytest plugin; see ``docs/plugin-authors.md``.
"""

from pss_kernel.testing._kit import LOOPBACK, TestKit

__all__ = ["LOOPBACK", "TestKit"]
