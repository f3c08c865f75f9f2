"""What can be told of an alert rule from its query: what it is about, what it shows, and how long it takes.

Only forms that are usual are known. A rule of another form, or one whose metric nobody here is seen to export, is about
nothing that is known: no scenario is made to fire it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.onboarding.discovery.config_files import Rule, Timing
from harness.onboarding.discovery.metrics import Metrics
from harness.onboarding.discovery.starters.rule_limits import age_limit_s, bare, is_above, is_age, limit_of
from harness.probes.rule_queries import Selects, duration_s, rests_on, selected
from harness.probes.selectors import selectors, tokens_of

Shows = Literal["down", "slow", "errors", "old", "still", "always", "unknown"]

_UP = re.compile(r"^(up|\w+_up|probe_success)$")
_IS_LOW = re.compile(r"(==(bool)?0|<(bool)?1|!=(bool)?1)(?![\d.])")
_COUNTED_UP = re.compile(r"(count|sum|avg|min)(by\([^)]*\)|without\([^)]*\))?\((up|\w+_up|probe_success)\b.*<")
_TOGETHER = re.compile(r"\b(sum|avg|count|max|quantile|absent\w*)(by\([^)]*\)|without\([^)]*\))?\(")
_SLOW = re.compile(r"latency|duration|response_time|(request|query|inference|predict\w*|scor\w+)_(milli)?seconds", re.I)
_OLD = re.compile(r"(^|_)(age|lag|staleness|freshness|since)(_|$)|timestamp|last_(success|run|update)", re.I)
_ITS_OWN = re.compile(r"scrape_|prometheus_|alertmanager_|go_|process_|python_|jvm_")
"""How metrics begin that every program or the monitoring itself has: nothing is known of what drives them."""
_FAILED = re.compile(r"error|fail|exception|5xx", re.I)
_STATUS = re.compile(r"^(code|status|status_code|http_status|response_code|http_response_status_code|grpc_code)$")
_BAD_STATUS = re.compile(r"5|err|fail|![=~]\"?2|UNAVAILABLE|INTERNAL", re.I)
_BY = r"(?:(?:by|without)\([^)]*\))?"
_GROWTH = re.compile(rf"(?:(?:sum|avg|max|min){_BY}\()*(?:rate|irate|increase|changes)\([\w:]+\[\w+\]\)\)*{_BY}")
_TOO_LITTLE = re.compile(r"(?:<=?(?:bool)?\d+(?:\.\d+)?(?:e[+-]?\d+)?|==(?:bool)?0(?:\.0+)?)$")
_METRIC = re.compile(r"[\w:]+")
_RANGE = re.compile(r"\[([^\]]*)\]")
_LITERAL = re.compile(r'"[^"]*"|\'[^\']*\'')
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
    each: bool
    """Whether any one of its services can fire it."""
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
        alone = self.each or len(self.exported_by) == 1
        return self.shows == "down" and self.subject is None and alone and service in self.exported_by

    @property
    def about(self) -> frozenset[str]:
        """Every service that it may be about."""
        return self.exported_by | ({self.subject} if self.subject is not None else set())


def read_rule(rule: Rule, timing: Timing, metrics: Metrics) -> RuleFacts:
    """Return what the query of a rule says of it."""
    text = _followed(rule.query, metrics.recorded)
    selects = list(_selects(text))
    shows = _shows(text, selects)
    wait_s = timing.scrape_s + 2 * timing.evaluate_s + rule.for_s + 5.0
    ranges = map(duration_s, _RANGE.findall(_LITERAL.sub("", text)))
    return RuleFacts(
        rule=rule,
        shows=shows,
        exported_by=frozenset(name for one in selects for name in _series_of(one, metrics)),
        subject=_named_after(selects, metrics.names) if shows == "down" else None,
        threshold=limit_of(text, lambda word: _SLOW.search(word) is not None),
        each=_TOGETHER.search(bare(text)) is None,
        detect_s=wait_s + max(ranges, default=0.0),
        age_s=age_limit_s(text) if shows == "old" else None,
    )


def _followed(query: str, recorded: Mapping[str, str]) -> str:
    """Return a query together with those of the recording rules that it rests on."""
    parts = [query]
    met: set[str | None] = set()
    for _ in range(_FOLLOWED):
        named = {one.metric for one in _selects(" ; ".join(parts)) if one.metric in recorded} - met
        parts += [recorded[name] for name in sorted(filter(None, named))]
        met |= named
    return " ; ".join(parts)


def _selects(text: str) -> Iterator[Selects]:
    for query in text.split(" ; "):
        for one in selectors(query):
            yield from selected(rests_on(one.text))


def _shows(text: str, selects: list[Selects]) -> Shows:
    """Return which kind of trouble a rule shows. The order tells: `time() - last_success` is old, not slow."""
    names = [one.metric for one in selects if one.metric]
    short = bare(text)
    if not names:
        return "always" if re.match(r"vector\(\d", short) else "unknown"
    words = {token.text.lower() for token in tokens_of(text)}
    if "unless" in words or all(_ITS_OWN.match(name) for name in names):
        return "unknown"
    if _is_down(short, names):
        return "unknown" if "and" in words else "down"
    if _is_still(short):
        return "still"
    if not is_above(text):
        return "unknown"
    if is_age(text) or any(_OLD.search(name) for name in names):
        return "old"
    bad = any(_STATUS.match(m.label) and _BAD_STATUS.search(m.operator + m.value) for s in selects for m in s.matchers)
    if bad or any(_FAILED.search(name) for name in names):
        return "errors"
    return "slow" if any(_SLOW.search(name) for name in names) else "unknown"


def _is_down(short: str, names: list[str]) -> bool:
    if re.search(r"\babsent(_over_time)?\(", short):
        return True
    return any(_UP.match(name) for name in names) and bool(_IS_LOW.search(short) or _COUNTED_UP.search(short))


def _is_still(short: str) -> bool:
    """Whether a query asks whether a counter grows too little, by itself or by way of a recording rule."""
    asked, *recorded = short.split(";")
    compared = _TOO_LITTLE.search(asked)
    if compared is None:
        return False
    value = asked[: compared.start()]
    if not recorded:
        return _GROWTH.fullmatch(value) is not None
    return len(recorded) == 1 and _METRIC.fullmatch(value) is not None and _GROWTH.fullmatch(recorded[0]) is not None


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


def _named_after(selects: list[Selects], names: Mapping[str, str]) -> str | None:
    """Return the service that a metric is named after: `mlflow` of `mlflow_up`."""
    for one in selects:
        word = (one.metric or "").removesuffix("_up")
        if one.metric not in (None, "up", word):
            same = [service for name, service in names.items() if re.sub(r"\W", "_", name) == word]
            if same:
                return same[0]
    return None
