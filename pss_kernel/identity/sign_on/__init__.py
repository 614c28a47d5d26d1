"""Signing in at the tenant's own identity provider: OpenID Connect."""
