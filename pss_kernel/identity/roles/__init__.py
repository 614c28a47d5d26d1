"""Roles of a tenant's own, who may give them, and why somebody may do something or not."""
