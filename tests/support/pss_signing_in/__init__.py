"""What tests of signing in share: people with accounts, and authenticators that answer."""
