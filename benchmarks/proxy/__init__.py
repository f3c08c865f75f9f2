"""Benchmarks of the fault proxy beside Toxiproxy 2.12, in one run."""
