"""`harness init` reads a compose project here, and guesses services, probes and scenarios from it."""
