"""The monitor: evaluates the alert rules ten times a second and shows them as Prometheus does.

RULES_OFF (comma separated) switches rules off; reactions to a finding stay on. Drift is
shown as a metric only: on quiet data it crosses any useful threshold (see the README).
"""

from __future__ import annotations

import json
import time
from functools import partial

import numpy as np
from prometheus_client import Counter, Gauge

from refstack.conditions import all_conditions
from refstack.dataset import default_dir
from refstack.eventtime import age
from refstack.objects import ObjectStore
from refstack.rules import RULES, Alerts
from refstack.schema import DELAY, ENTITIES, GROUPS
from refstack.service import ServiceProcess, SettingError, address, number, setting, switch
from refstack.sourceview import SourceView
from refstack.watchers import Canary, OnlineWatch, PartitionWatch, probe_http, scrape
from refstack.world import ScrapeTarget, World

DRIFT_WINDOW = 72


def targets_of(text: str) -> dict[str, tuple[str, int]]:
    """`name=host:port` words."""
    found = {}
    for word in text.split():
        name, _, where = word.partition("=")
        host, _, port = where.rpartition(":")
        if not host or not port.isdigit():
            raise SettingError(f"a target is name=host:port, not {word!r}")
        found[name] = (host, int(port))
    return found


class Drift:
    """How far the last hours of the live feature lie from the hold-out, in its standard deviations."""

    def __init__(self, service: ServiceProcess) -> None:
        golden = json.loads((default_dir() / "golden.json").read_text())["columns"][DELAY]
        self._mean, self._std = float(np.mean(golden)), float(np.std(golden))
        self._gauge = Gauge(
            "monitor_drift_score", "Standardised shift of the mean", ["feature"], registry=service.metrics
        )
        self._suspected = Gauge(
            "monitor_drift_suspected", "Whether it is above 1", ["feature"], registry=service.metrics
        )
        self._window: list[float] = []

    def see(self, view: SourceView) -> None:
        found = [view.truth(entity, DELAY, view.watermark) for entity in ENTITIES]
        self._window = (self._window + [true[DELAY] for true in found if true])[-DRIFT_WINDOW:]
        if self._window:
            score = abs(float(np.mean(self._window)) - self._mean) / self._std
            self._gauge.labels(DELAY).set(score)
            self._suspected.labels(DELAY).set(score > 1.0)


class Monitor:
    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        scraped, probed = targets_of(setting("TARGETS")), targets_of(setting("HTTP_TARGETS"))
        names = [*scraped, *probed, "online-store", "monitor"]
        self.world = World({name: ScrapeTarget(name) for name in names}, time.monotonic())
        off = frozenset(filter(None, setting("RULES_OFF", " ").replace(",", " ").split()))
        if unknown := off - set(RULES):
            raise SettingError(f"RULES_OFF names {sorted(unknown)}; the rules are {sorted(RULES)}")
        self.alerts = Alerts(RULES, off)
        self._view, self._drift = SourceView(), Drift(service)
        store = ObjectStore(service.metrics)
        for name, where in scraped.items():
            target = self.world.targets[name]
            service.thread(partial(scrape, service, self.world, target, where), f"scrape {name}")
        for name, where in probed.items():
            target = self.world.targets[name]
            service.thread(partial(probe_http, service, target, where), f"probe {name}")
        service.thread(OnlineWatch(service, self.world, self._view, switch("QUARANTINE")).run, "online")
        service.thread(PartitionWatch(service, self.world, self._view, store).run, "partitions")
        service.thread(Canary(service, self.world, store, address("GATEWAY")).run, "canary")
        self._export()

    def _export(self) -> None:
        metrics, targets = self._service.metrics, self.world.targets
        self._passes = Counter("monitor_rule_evaluations", "Passes over all rules", registry=metrics)
        self._fired = Counter(
            "monitor_alerts_fired", "Alerts that began to fire", ["alertname", "service"], registry=metrics
        )

        def up(prefix: str) -> int:
            return sum(
                t.seen_s is not None and t.failed_since_s is None for n, t in targets.items() if n.startswith(prefix)
            )

        Gauge("monitor_replicas_up", "Model servers that answer", registry=metrics).set_function(lambda: up("server-"))
        Gauge("monitor_workers_up", "Workers that answer", registry=metrics).set_function(lambda: up("worker-"))
        Gauge("monitor_services_up", "Services that answer", registry=metrics).set_function(lambda: up(""))
        skewed = Gauge(
            "monitor_skewed_features", "Airports times groups whose online values are wrong", registry=metrics
        )
        skewed.set_function(lambda: len(self.world.skewed))
        skew = Gauge("monitor_feature_skew", "Whether stored values are wrong", ["group", "store"], registry=metrics)
        for group in GROUPS:
            skew.labels(group, "online").set_function(partial(self._skewed_online, group))
            skew.labels(group, "offline").set_function(partial(self._skewed_offline, group))
        lag = Gauge("monitor_pipeline_lag_seconds", "Active event seconds behind the clock", registry=metrics)
        lag.set_function(self.lag_s)
        ages = Gauge("monitor_feature_age_seconds", "Active event seconds", ["group"], registry=metrics)
        for group in GROUPS:
            ages.labels(group).set_function(partial(self.age_s, group))

    def _skewed_online(self, group: str) -> float:
        return float(any(wrong == group for wrong, _ in self.world.skewed))

    def _skewed_offline(self, group: str) -> float:
        return float(group in self.world.offline_skewed)

    def age_s(self, group: str) -> float:
        now, stamps = self.world.clock.now(), self.world.stamps.get(group)
        return float(age(now, min(stamps.values()))) if now is not None and stamps else -1.0

    def lag_s(self) -> float:
        now = self.world.clock.now()
        done = self.world.targets["feature-pipeline"].samples.get("pipeline_watermark")
        return float(age(now, int(done))) if now is not None and done else -1.0

    def run(self) -> None:
        every_s, passes = number("EVALUATE_EVERY", 0.1), 0
        while not self._service.stop.is_set():
            now_s = time.monotonic()
            if passes % 10 == 0:
                self._drift.see(self._view)
            for fired in self.alerts.evaluate(all_conditions(self.world, now_s), now_s, time.time()):
                labels = dict(fired.labels)
                self._fired.labels(fired.alert, labels["service"]).inc()
                self._service.log.warning("firing: %s %s", fired.alert, labels)
            self._passes.inc()
            passes += 1
            self._service.stop.wait(max(0.01, every_s - (time.monotonic() - now_s)))

    def answer(self, _: object) -> tuple[int, object]:
        return 200, {"status": "success", "data": {"alerts": self.alerts.listing()}}


def main() -> None:
    service = ServiceProcess("monitor")
    monitor = Monitor(service)
    service.routes[("GET", "/api/v1/alerts")] = monitor.answer
    service.serve()
    monitor.run()
    service.leave()


if __name__ == "__main__":
    main()
