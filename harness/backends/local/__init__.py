"""Runs a stack as local processes, without root and without containers.

A zygote imports heavy modules once and forks a supervisor for each stack; the supervisor forks the services. Every
stack has an address block of its own in 127.0.0.0/8, and nothing of a stack outlives the process that started it.
The modules that run in the zygote and below import the standard library only, so that every fork stays small.
"""
