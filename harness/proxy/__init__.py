"""A TCP fault proxy that speaks Toxiproxy's API and stands alone: nothing else of the harness is imported here."""
