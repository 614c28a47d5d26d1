"""What a person proves who it is with, besides a password: codes, passkeys, recovery codes."""
