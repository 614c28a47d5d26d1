"""Signing in and out: sessions, their access tokens and refresh tokens."""
