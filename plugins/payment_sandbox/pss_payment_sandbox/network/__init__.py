"""The sandbox card network: a server of its own process; nothing here knows the kernel."""
