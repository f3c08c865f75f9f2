"""What can be told of an alert rule from its query: what it is about, what it shows, and how long it takes.

Only forms that are usual are known. A rule of another form, or one whose metric nobody here is seen to export, is about
nothing that is known: no scenario is made to fire it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.onboarding.discovery.metrics import Metrics
from harness.onboarding.discovery.prometheus_files import Rule, Timing
from harness.onboarding.discovery.starters.rule_counts import IS_LOW, becomes_absent, is_of_up, must_be_down
from harness.onboarding.discovery.starters.rule_limits import (
    age_limit_s,
    conditions,
    is_age,
    is_named_age,
    limit_of,
    time_limit_s,
)
from harness.probes.promql_parser import parse
from harness.probes.promql_tree import (
    FunctionCall,
    Operation,
    Past,
    Query,
    Range,
    Selects,
    constant,
    duration_s,
    parts_of,
    replaced,
    walk,
    within,
)
from harness.probes.rule_queries import BUILT_IN

Shows = Literal["down", "slow", "errors", "old", "still", "always", "unknown"]

_COUNTS = ("count", "sum", "avg", "min")
_TOGETHER = ("sum", "avg", "count", "max", "quantile", "absent", "absent_over_time")
_SLOW = re.compile(r"latency|duration|response_time|(request|query|inference|predict\w*|scor\w+)_(milli)?seconds", re.I)
_STAMP = re.compile(r"timestamp|last_(success|run|update)", re.I)
_ITS_OWN = re.compile(r"scrape_|prometheus_|alertmanager_|go_|process_|python_|jvm_")
"""How metrics begin that every program or the monitoring itself has: nothing is known of what drives them."""
_FAILED = re.compile(r"error|fail|exception|5xx", re.I)
_STATUS = re.compile(r"^(code|status|status_code|http_status|response_code|http_response_status_code|grpc_code)$")
_BAD_STATUS = re.compile(r"5|err|fail|![=~]\"?2|UNAVAILABLE|INTERNAL", re.I)
_GROWTH = ("rate", "irate", "increase", "changes")
_FOLLOWED = 5
"""Through so many recording rules a query is followed."""


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """A rule, and what its query says of it."""

    rule: Rule
    shows: Shows
    exported_by: frozenset[str]
    """The services whose series it reads."""
    subject: str | None
    """The service that a metric such as `mlflow_up` is named after, where others export it."""
    threshold: float | None
    """The number that what it measures must exceed."""
    limit_s: float | None
    """The same in seconds, where it measures a time."""
    lost: int
    """How many of its services must be down for it to fire, where it is about what is up."""
    detect_s: float
    """How long it takes to fire at most, once its condition holds."""
    age_s: float | None = None
    """From which age on its condition holds; None where it is about no age, or about one that cannot be read."""

    @property
    def name(self) -> str:
        """Its alert."""
        return self.rule.name

    @property
    def fires_within_s(self) -> float:
        """How long it takes to fire at most, once what it reads is bad: an age has to grow first."""
        return self.detect_s + (self.age_s or 0.0)

    @property
    def unread_age(self) -> bool:
        """Whether it waits for an age that could not be read, so that nothing tells how long it takes."""
        return self.shows == "old" and self.age_s is None

    def fires_for(self, service: str) -> bool:
        """Whether its query fires it once this service no longer answers."""
        return self.shows == "down" and self.subject is None and self.lost == 1 and service in self.exported_by

    @property
    def about(self) -> frozenset[str]:
        """Every service that it may be about."""
        return self.exported_by | ({self.subject} if self.subject is not None else set())


def read_rule(rule: Rule, timing: Timing, metrics: Metrics) -> RuleFacts:
    """Return what the query of a rule says of it."""
    wait_s = timing.scrape_s + 2 * timing.evaluate_s + rule.for_s + 5.0
    written = parse(rule.query)
    if written is None:
        return RuleFacts(rule, "unknown", frozenset(), None, None, None, lost=1, detect_s=wait_s)
    forms = _followed(written, metrics.recorded)
    query = forms[-1]
    selects = list(dict.fromkeys(one for form in forms for one in _selected(form)))
    shows = _shows(query, selects)
    exported_by = frozenset(name for one in selects for name in _series_of(one, metrics))
    subject = _named_after(selects, metrics.names) if shows == "down" else None
    lost = must_be_down(query, len(exported_by), each=not _calls(query, *_TOGETHER)) if shows == "down" else 1
    if lost is None:
        shows, subject = "unknown", None
    ranges = (duration_s(one.over) for one in walk(query) if isinstance(one, Range))
    return RuleFacts(
        rule=rule,
        shows=shows,
        exported_by=exported_by,
        subject=subject,
        threshold=limit_of(query, _is_time),
        limit_s=time_limit_s(query, _is_time),
        lost=lost or 1,
        detect_s=wait_s + max(ranges, default=0.0),
        age_s=age_limit_s(query) if shows == "old" else None,
    )


def _is_time(name: str) -> bool:
    return _SLOW.search(name) is not None


def _followed(query: Query, recorded: Mapping[str, str]) -> list[Query]:
    """Return a query as it is, then with recording rules in the place of what they record, again and again."""
    rules = {name: tree for name, text in recorded.items() if (tree := parse(text)) is not None}
    forms = [query]
    for _ in range(_FOLLOWED):
        named = {one: rules[one.metric] for one in _selected(forms[-1]) if one.metric in rules}
        if not named:
            break
        forms.append(replaced(forms[-1], named))
    return forms


def _selected(query: Query) -> list[Selects]:
    """Return what a query selects now, of what is exported."""
    if isinstance(query, Past):
        return []
    if isinstance(query, Selects):
        return [query] if query.metric not in BUILT_IN else []
    return [one for part in parts_of(query) for one in _selected(part)]


def _calls(query: Query, *functions: str) -> list[FunctionCall]:
    return [one for one in walk(query) if isinstance(one, FunctionCall) and one.function in functions]


def _shows(query: Query, selects: Sequence[Selects]) -> Shows:
    """Return which kind of trouble a rule shows. The order tells: `time() - last_success` is old, not slow."""
    names = [one.metric for one in selects if one.metric]
    if not names:
        return "always" if _is_constant(query) else "unknown"
    operators = {one.operator for one in walk(query) if isinstance(one, Operation)}
    if "unless" in operators or all(_ITS_OWN.match(name) for name in names):
        return "unknown"
    if _is_down(query):
        return "unknown" if "and" in operators else "down"
    if _is_still(query):
        return "still"
    if not any(conditions(query)):
        return "unknown"
    if is_age(query) or any(is_named_age(name) or _STAMP.search(name) for name in names):
        return "old"
    bad = any(_STATUS.match(m.label) and _BAD_STATUS.search(m.operator + m.value) for s in selects for m in s.matchers)
    if bad or any(_FAILED.search(name) for name in names):
        return "errors"
    return "slow" if any(_SLOW.search(name) for name in names) else "unknown"


def _is_constant(query: Query) -> bool:
    """Whether a query begins with a vector of a number."""
    while isinstance(query, Operation):
        query = query.left
    return isinstance(query, FunctionCall) and query.function == "vector" and constant(query.arguments[0]) is not None


def _is_down(query: Query) -> bool:
    """Whether a query asks whether something is gone, is not up, or too few of several are up."""
    if any(map(becomes_absent, _calls(query, "absent", "absent_over_time"))):
        return True
    compared = [one for one in walk(query) if isinstance(one, Operation) and is_of_up(one.left)]
    if any((one.operator, constant(one.right)) in IS_LOW for one in compared):
        return True
    return any(one.operator in ("<", "<=") and any(map(is_of_up, _calls(one.left, *_COUNTS))) for one in compared)


def _is_still(query: Query) -> bool:
    """Whether a query asks whether a counter grows too little."""
    if not isinstance(query, Operation):
        return False
    limit = constant(query.right)
    if limit is None or not (query.operator in ("<", "<=") or (query.operator == "==" and limit == 0)):
        return False
    match within(query.left, "sum", "avg", "max", "min"):
        case FunctionCall(function=function, arguments=(Range(of=Selects(), over=over),)):
            return function in _GROWTH and ":" not in over
    return False


def _series_of(one: Selects, metrics: Metrics) -> frozenset[str]:
    """Return whose series a selector matches: by its job, by a label that names a service, or by its metric."""
    for matcher in one.matchers:
        if matcher.label == "job":
            named = (job for job in metrics.jobs if matcher.matches(job))
            return frozenset(service for job in named for service in metrics.jobs[job])
    for matcher in one.matchers:
        value = matcher.value.strip("\"'`")
        host = value.partition("://")[2] or value
        name = metrics.names.get(host.partition("/")[0].partition(":")[0])
        if matcher.operator == "=" and name is not None:
            return frozenset({name})
    if one.metric == "up":
        return frozenset(service for services in metrics.jobs.values() for service in services)
    return metrics.exporters(one.metric) if one.metric else frozenset()


def _named_after(selects: Sequence[Selects], names: Mapping[str, str]) -> str | None:
    """Return the service that a metric is named after: `mlflow` of `mlflow_up`."""
    for one in selects:
        word = (one.metric or "").removesuffix("_up")
        if one.metric not in (None, "up", word):
            same = [service for name, service in names.items() if re.sub(r"\W", "_", name) == word]
            if same:
                return same[0]
    return None
