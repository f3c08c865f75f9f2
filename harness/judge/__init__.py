"""The judge: a pure function of a journal (and, where there is one, its control's) to a verdict.

No clock, no network, no backend: any stored run can be judged again, with the same result. Checkers look at one
property each; their values are merged so that fail beats unknown beats pass.
"""

from harness.judge.verdict import judge

__all__ = ["judge"]
