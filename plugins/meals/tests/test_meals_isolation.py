"""The menu, choices and lists of one airline stay with it."""

from pss_kernel.testing.conformance import isolation_tests

test_isolation = isolation_tests("meals")
