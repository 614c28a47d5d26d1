"""The audit trail: who did what to whom, before and after, from where.

The database numbers the entries of a tenant, gives each its time, and chains it to the one before
by a digest (SHA-256 over the digest before and the text of the entry).
"""
