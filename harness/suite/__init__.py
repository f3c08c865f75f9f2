"""The road from plans to a report: run, judge, report, and the rules of what passes.

Both front ends (`harness run`, the pytest plugin) and the commands `judge` and `report` go this way; none of them has
a rule of its own.
"""
