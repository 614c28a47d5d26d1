"""Bringing the tables of many tenants to the installed versions: planned, in waves, watched."""
