"""What keeps a run from leaving anything behind: ownership, undo, guard, and the latch that stops it."""
