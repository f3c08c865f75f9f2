"""What a compose project says of itself, and what can be guessed from it: the ground of `harness init`."""
