"""Whether a scenario can run on its stack, and whether it could show anything there."""
