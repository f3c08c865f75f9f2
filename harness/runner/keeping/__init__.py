"""Stacks that are kept without a run: started, found again, stopped, and the images that they need."""
