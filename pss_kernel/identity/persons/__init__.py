"""People's own data: told to them and erased on their demand."""
