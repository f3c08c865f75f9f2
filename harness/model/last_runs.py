"""The names by which metrics tell when a job last ran, as `init` and the advice on such metrics look for them."""

from __future__ import annotations

import re

_LAST_RUN = r"last_?(run|success(ful)?|complet(ed|ion)|finish(ed)?|train(ed|ing)?)(_(run|job|training))?"
_STAMPS = r"at|time|timestamp|ts|unix(time)?|epoch|seconds"
_STAMP = re.compile(rf"{_LAST_RUN}(_({_STAMPS}))*$", re.IGNORECASE)
_ANY = re.compile(
    rf"{_LAST_RUN}(_({_STAMPS}|date|age|ago|s|ms|millis(econds)?|minutes|total|count))*(?![a-z_])"
    r"|(?<![a-z])runs?(_(completed|finished|done))?_total(?![a-z_])|(since|after)_(last_)?run(?![a-z])",
    re.IGNORECASE,
)


def is_time_of_last_run(metric: str) -> bool:
    """Whether a metric holds when a job last ran, in seconds; not when one failed, nor what a run was like."""
    return _STAMP.search(metric) is not None


def tells_of_last_run(text: str) -> bool:
    """Whether a metric or a query tells when a job last ran, how long ago, or how often; not what a run was like."""
    return _ANY.search(text) is not None
