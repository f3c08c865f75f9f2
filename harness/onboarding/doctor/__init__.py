"""What of a stack's description works against the running stack: the ground of `harness doctor`."""
