"""The life of one fault, and of several that lie on one another."""
