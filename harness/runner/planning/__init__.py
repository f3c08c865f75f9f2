"""From checked scenarios to plans: what is hit and when, and what must never be."""
