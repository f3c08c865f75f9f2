"""Chaos and fault-injection tests for machine-learning systems.

The rooms and the order in which they may import one another are set out in README.md and checked by import-linter.
Importing this package costs nothing: every front door imports what it needs when it is called.
"""

__version__ = "0.1.0"
