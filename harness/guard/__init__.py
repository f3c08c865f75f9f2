"""Takes out what a dead or hung run left in, from its undo alone: a process beside each run, and `harness heal`."""
