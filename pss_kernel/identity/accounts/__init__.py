"""Accounts of people: invitations, passwords, lockout, and what is sent to them by mail."""
