"""A TCP fault proxy with Toxiproxy's API. It imports nothing else of the harness."""
