"""The guards that good teams have, as data: what each is, how to put it in, and where it is described.

docs/advice.md is written from this table. Which guard a run shows to be missing is decided in the modules beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.model.advice import AdviceSource

_BUILDERS = "https://aws.amazon.com/builders-library"
TIMEOUTS = AdviceSource(
    title="Amazon Builders' Library, Timeouts, retries, and backoff with jitter",
    url=f"{_BUILDERS}/timeouts-retries-and-backoff-with-jitter/",
)
HEALTH_CHECKS = AdviceSource(
    title="Amazon Builders' Library, Implementing health checks", url=f"{_BUILDERS}/implementing-health-checks/"
)
FALLBACK = AdviceSource(
    title="Amazon Builders' Library, Avoiding fallback in distributed systems",
    url=f"{_BUILDERS}/avoiding-fallback-in-distributed-systems/",
)
BACKLOGS = AdviceSource(
    title="Amazon Builders' Library, Avoiding insurmountable queue backlogs",
    url=f"{_BUILDERS}/avoiding-insurmountable-queue-backlogs/",
)
RELEASE_IT = AdviceSource(title="Nygard, Release It!, 2nd edition 2018, chapter 5: Stability Patterns")
CASCADES = AdviceSource(
    title="Site Reliability Engineering, chapter 22: Addressing Cascading Failures",
    url="https://sre.google/sre-book/addressing-cascading-failures/",
)
DATA_INTEGRITY = AdviceSource(
    title="Site Reliability Engineering, chapter 26: Data Integrity", url="https://sre.google/sre-book/data-integrity/"
)
ML_TEST_SCORE = AdviceSource(title="Breck et al., The ML Test Score, IEEE Big Data 2017: tests for monitoring")
ML_TEST_INFRA = AdviceSource(title="Breck et al., The ML Test Score, IEEE Big Data 2017: tests for infrastructure")
DATA_VALIDATION = AdviceSource(title="Breck et al., Data Validation for Machine Learning, MLSys 2019")
READINESS = AdviceSource(
    title="Kubernetes documentation, Configure Liveness, Readiness and Startup Probes",
    url="https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
)
ABSENT = AdviceSource(
    title="Prometheus documentation, Query functions: absent()",
    url="https://prometheus.io/docs/prometheus/latest/querying/functions/#absent",
)
RULES = AdviceSource(
    title="Prometheus documentation, Alerting rules",
    url="https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/",
)
ALERTING = AdviceSource(
    title="Prometheus documentation, Alerting: best practices", url="https://prometheus.io/docs/practices/alerting/"
)
BATCH = AdviceSource(
    title="Prometheus documentation, Instrumentation: batch jobs",
    url="https://prometheus.io/docs/practices/instrumentation/#batch-jobs",
)
RESTART = AdviceSource(
    title="Docker documentation, Start containers automatically",
    url="https://docs.docker.com/engine/containers/start-containers-automatically/",
)
OUTLIERS = AdviceSource(
    title="Envoy documentation, Outlier detection",
    url="https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier",
)
CRASHES = AdviceSource(title="Pillai et al., All File Systems Are Not Created Equal, OSDI 2014")
FENCING = AdviceSource(
    title="Kleppmann, How to do distributed locking, 2016",
    url="https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html",
)


@dataclass(frozen=True, slots=True)
class AdvisedGuard:
    """One guard; `evidence` says what a run must show for it to be advised."""

    id: str
    guard: str
    repair: str
    evidence: str
    sources: tuple[AdviceSource, ...]


_GUARDS = (
    AdvisedGuard(
        "client-timeout",
        "A time-out on the client of a store, shorter than its callers wait",
        "Give that client time-outs for connecting and for reading, so short that all its attempts end before the "
        "callers give up; then answer with a fallback that carries a flag, or with an error, which a bound on "
        "availability counts as a failure.",
        "a service stood still, could not be reached, or answered each call later than callers wait; most requests to "
        "a consumer that uses it directly, and by no other way, had no answer within the caller's time-out, and "
        "none lacked one before the fault",
        (TIMEOUTS, RELEASE_IT),
    ),
    AdvisedGuard(
        "fallback-flag",
        "A flag on answers that are made without the data they need",
        "Where the data cannot be read, answer with an error, or name the fallback in the answer; count such answers "
        "and alert on their share.",
        "a service was gone or could not be reached; meanwhile requests were answered, with wrong content and no "
        "flag; none was before",
        (FALLBACK, ML_TEST_SCORE),
    ),
    AdvisedGuard(
        "filled-before-used",
        "A check that a store has its data again before its answers are used",
        "Keep the store's data over a restart, or fill it again before it counts as ready; until then treat a key that "
        "is missing as an error, or flag the answer.",
        "the process of a service that holds a key space or a dataset, or whose data a probe reads, was ended; answers "
        "were right while it was away, and wrong without a flag as soon as it was back",
        (FALLBACK, READINESS),
    ),
    AdvisedGuard(
        "age-limit",
        "A limit on the age of the features that an answer is made of",
        "Compare the age of what is read with its limit when a request is answered; beyond it flag the answer, or "
        "refuse it.",
        "who delivers data was stopped: the store of a key space that the asked service uses, or a service that uses "
        "it and that no request needs; answers were made of features older than the stack declares, and carried no "
        "flag; none did before, and no more were wrong for another reason",
        (ML_TEST_SCORE,),
    ),
    AdvisedGuard(
        "deep-readiness",
        "A readiness check that looks at what the service needs",
        "Let readiness make one cheap call to what every request needs, with a short time-out. Keep liveness without "
        "it, or a lost store restarts all its consumers.",
        "a page went on to say yes while a service that its own service uses directly was gone: `noticed` failed, or "
        "nearly all requests to its service failed meanwhile, none did before, and its path says that it is about "
        "readiness",
        (HEALTH_CHECKS, READINESS),
    ),
    AdvisedGuard(
        "absent-rule",
        "A rule that also fires when its metric is gone",
        "Add `or absent(…)` to the rule, or a second rule on `up == 0` of the target that exports the metric.",
        "`detected` failed: the series that the rule selects were there before the fault and gone during it, so that "
        "the rule could give nothing until its deadline",
        (ABSENT, ALERTING),
    ),
    AdvisedGuard(
        "rule-in-time",
        "A rule whose `for` fits the time in which it has to fire",
        "Shorten the rule's `for` and the evaluation interval, or allow more time where that is soon enough.",
        "`detected` failed: the alert was not pending at first, became so after the fault went in, and still was when "
        "its deadline passed",
        (RULES,),
    ),
    AdvisedGuard(
        "monitoring-apart",
        "Monitoring that survives what it watches",
        "Run it on another machine, and let something outside page when a watchdog alert no longer arrives.",
        "`detected` failed: the fault took away every alert source, and none answered until the deadline",
        (ALERTING,),
    ),
    AdvisedGuard(
        "digest-on-load",
        "A check of an object's digest when it is loaded",
        "Store the digest beside the object when it is written, compare it when it is loaded, and keep the last good "
        "one where they differ.",
        "objects were damaged, and not by an older version of them; while they were, answers were wrong without a "
        "flag; none was before; where the service was restarted so that it loads them, they were so until the objects "
        "were whole, and hardly any was after the same restart with whole ones",
        (DATA_INTEGRITY, ML_TEST_INFRA),
    ),
    AdvisedGuard(
        "keep-last-good",
        "A load that keeps the last good version",
        "Load into a second place, check it with a test request, and only then replace what serves.",
        "objects were damaged; while they were, a service that uses their store directly ended in error, or most "
        "requests to it failed; where it was restarted so that it loads them, that went on for more than twice as long "
        "as after the same restart with whole objects",
        (ML_TEST_INFRA, RELEASE_IT),
    ),
    AdvisedGuard(
        "value-check",
        "A check of feature values when they are read",
        "Check type, range and share of missing values against a schema where features are read or written; keep bad "
        "rows out, and flag the answers that needed them.",
        "features were corrupted so that each value shows it: set to null, or scaled by 10 or more, or to a tenth or "
        "less; while they were, answers were wrong without a flag; none was before",
        (DATA_VALIDATION, ML_TEST_SCORE),
    ),
    AdvisedGuard(
        "training-guard",
        "A check of examples before a model learns from them",
        "Validate each partition against a schema and against its source before training, and keep what fails in "
        "quarantine.",
        "`nothing_poisoned` failed: a version that learned from rows of the fault was promoted after revert",
        (DATA_VALIDATION,),
    ),
    AdvisedGuard(
        "forward-promotion",
        "A promotion that refuses an older version",
        "Let the registry compare versions in the same step in which it moves the pointer; what goes back is a "
        "roll-back, and is recorded as one.",
        "`promotion_monotonic` failed",
        (FENCING,),
    ),
    AdvisedGuard(
        "whole-checkpoints",
        "Checkpoints that are written whole or not at all",
        "Write under another name, flush, check the digest, and rename last; delete an old checkpoint only after that.",
        "`checkpoints_restorable` failed",
        (CRASHES,),
    ),
    AdvisedGuard(
        "restart-policy",
        "A restart policy",
        "Set `restart: unless-stopped` (or `on-failure`) for the service.",
        "a process was killed, its service has no restart policy, and it was not started again before revert",
        (RESTART,),
    ),
    AdvisedGuard(
        "survive-dependency",
        "A service that stays up when what it uses does not answer",
        "Catch errors of that client, retry with a growing, bounded pause, and report not ready meanwhile instead of "
        "ending the process.",
        "`collateral` failed: a consumer ended in error, and nobody ended it, while a service that it uses directly "
        "was gone",
        (CASCADES, TIMEOUTS),
    ),
    AdvisedGuard(
        "quick-start",
        "A second replica, or a start that is short enough",
        "Run a second replica, or make the start shorter: load the model from a local copy, and load it before "
        "anything else.",
        "`recovered` failed: the process ran again in time, its service answered well only after the deadline, and "
        "nothing that it uses was lost with it",
        (CASCADES,),
    ),
    AdvisedGuard(
        "replica-ejection",
        "Health checks that take a lost replica out of rotation",
        "Let the balancer check its replicas, take out the one that fails, and try another one for a request that can "
        "be repeated.",
        "some of the replicas of one service, which the asked service uses directly, were lost and the others ran on; "
        "for all of the fault about that share of requests failed, and not with a status of 400 to 499. Services "
        "whose names differ in a number are not taken for replicas: they may hold different data",
        (OUTLIERS, HEALTH_CHECKS),
    ),
    AdvisedGuard(
        "reconnect",
        "A client that connects anew by itself",
        "Check connections before they are used, drop one that failed, resolve the name again, and bound the pause "
        "between attempts.",
        "`recovered` failed: what a consumer uses could not be reached, and answered again; the consumer, which had "
        "not ended, went on to fail, and not with a status of 400 to 499, or what only it makes grew older to the end "
        "of the run. Where what it uses had ended, and may have lost its data, others made new results with it",
        (TIMEOUTS, RELEASE_IT),
    ),
    AdvisedGuard(
        "catch-up",
        "Capacity to catch up",
        "Process a backlog in larger batches or with more workers, bound it, and let newer data come first where old "
        "data no longer matters.",
        "`recovered` failed: a lag, an age or the length of a queue fell steadily after revert, and reached its bound "
        "too late; what is taken over a window, such as a rate or a quantile, falls by itself and is not looked at",
        (BACKLOGS,),
    ),
    AdvisedGuard(
        "run-with-result",
        "A last-run metric that only counts runs with a result",
        "Set the time of the last run only after its result is written; count skipped and failed runs apart; alert on "
        "the age of the result.",
        "a result only grew older while a service that it needs was gone, and its bound was broken or an alert did not "
        "fire whose rule goes by the last run alone, and fires within the time that it had; meanwhile the metric for "
        "the last run of a service that uses it directly, which did not end and is the only one cut off that may make "
        "the result, went on as before; its name does not say that it counts runs without a result, and without the "
        "fault runs have one so often that so many without one are hardly chance",
        (BATCH, ML_TEST_SCORE),
    ),
)
GUARDS: dict[str, AdvisedGuard] = {guard.id: guard for guard in _GUARDS}
"""Every guard by its id, in the order of the documentation."""
