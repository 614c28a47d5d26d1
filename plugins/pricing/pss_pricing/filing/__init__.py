"""Reading what an airline files: fares and taxes as TOML, with every error at once."""
