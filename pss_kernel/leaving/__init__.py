"""Giving up a tenant or a plugin's tables: export, import, purge, deletion, and the proofs."""
