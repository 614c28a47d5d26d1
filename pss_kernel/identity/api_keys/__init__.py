"""API keys: made, listed, changed, rotated and ended over HTTP and by command."""
