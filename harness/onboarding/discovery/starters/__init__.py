"""The scenarios that `harness init` writes: families of starters, each a pure function of what was found."""
