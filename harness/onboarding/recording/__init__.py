"""A workload made of what a service was asked: recorded as it passes through, or read from a log."""
