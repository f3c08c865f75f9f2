"""The reference stack: a small continuous training-and-serving system on real departures from New York in 2013.

Every module that has a ``main`` is one service or one command of the stack. The stack knows nothing of
whatever tests it: it has only the configuration of an ordinary service, read from the environment.
"""
