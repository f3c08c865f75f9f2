"""From somebody's compose file to scenarios that run: `init` writes them, `doctor` examines what of them works."""
