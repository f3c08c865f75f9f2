"""The compose backend: a stack as containers of a Docker engine, near or far."""
