"""Reads a stack's compose files and their `x-harness` fields into the model."""
