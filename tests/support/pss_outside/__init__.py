"""What the tests from outside share: an airline to test, a client of it, and the rules it keeps.

Nothing here looks inside the code under test: it is driven by processes, HTTP and SQL.
"""
