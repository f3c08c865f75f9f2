"""What is seen of a run while it goes on, and what is decided from it before any verdict."""
