"""From a compose file to scenarios that run: `init` writes them, `doctor` tests whether they can work."""
