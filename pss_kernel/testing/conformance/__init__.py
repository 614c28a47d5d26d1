"""Does a plugin keep one tenant's things from another? Run all that it has, and see.

In a plugin's tests::

    from pss_kernel.testing.conformance import isolation_tests

    test_isolation = isolation_tests("notes")

Two tenants are made, with rows in every table that hold values found nowhere else. Everything
that the plugin has runs as the second, so that what it keeps in memory is the second's; then as
the first: with its own ids, with the second's, and both at once. Answers, log lines of every
level, what is printed, exceptions, rows, messages and cached values of the first are searched for
values of the second.
"""

from pss_kernel.testing.conformance._check import Seed, check_isolation
from pss_kernel.testing.conformance._report import Finding, Report
from pss_kernel.testing.conformance._tests import element_names, isolation_tests

__all__ = ["Finding", "Report", "Seed", "check_isolation", "element_names", "isolation_tests"]
