"""Writes the golden journals and their verdicts anew: `python tests/judge/regenerate_golden.py --overwrite`.

Golden journals are promises to those who keep old runs: a stored run is judged again with the same result. Journals of
a schema that was released are never rewritten; a verdict that changes is a change of the law and belongs in the change
log.
"""

from __future__ import annotations

import sys
from pathlib import Path

from journals import ALL, POISONED, SEEN, SLOW, Run, good_run, lag

from harness.judge import judge

GOLDEN = Path(__file__).parent / "golden" / "v1"
WARNING = """\
This rewrites the golden journals in {place} and the verdicts that every later version must still reach.
Do it only where the law itself was changed on purpose, read the difference line by line, and say why in the commit.
To go on, add --overwrite.
"""


def thin(expect: dict[str, object] | None = None, **plan: object) -> Run:
    """Return the good run with one request in five, so that the files stay small."""
    run = good_run({k: v for k, v in (expect or ALL).items() if k != "stays"}, **plan)  # type: ignore[arg-type]
    kept = [line for line in run.lines if line[1]["kind"] != "answer"]
    run.lines = kept
    return run.answers((9.0, 10.0, {"wrong": True}), rate=4)


def runs() -> dict[str, Run]:
    """Return every golden run by the name of its files."""
    late = {"detected": [{**SEEN, "within": "500ms"}]}
    unconfirmed = Run({"detected": [SEEN]}).gate().fault(confirmed=None).alerts((SLOW, 7.0, 9.0), every_s=0.25).end()
    weak = {"known_weakness": {"reason": "no retry", "ticket": "ML-7", "until": "2026-07-01"}}
    off = {"kind": "alert", "name": SLOW, "breaks": ["seen"], "service": "monitor", "env": {"RULES_OFF": SLOW}}
    sabotage = Run({"detected": [SEEN]}, twin="sabotage", sabotage=off).gate().fault().alerts(every_s=0.25).end()
    misfire = Run({"detected": [SEEN]}, twin="misfire").gate().fault().alerts((SLOW, 7.0, 9.0), every_s=0.25).end()
    control = Run({"quiet": "others", "recovered": ALL["recovered"]}, twin="control").gate().alerts(every_s=0.25)
    poisoned = Run(guarantees=["nothing_poisoned"]).gate().fault().hit(6.0, {"entity": "JFK", "event_time": 1})
    poisoned.readings("promoted_version", lambda t_s: float(t_s // 7), every_s=0.5)
    cut_off = thin()
    cut_off.lines = [line for line in cut_off.lines if line[0] < 13.0]
    return {
        "pass": thin(),
        "fail-late": thin(late),
        "fail-collateral": thin().dies("server", 8.0),
        "fail-poisoned": poisoned.evidence("lineage", **POISONED).end(),
        "unknown-unconfirmed": unconfirmed,
        "unknown-cut-off": cut_off,
        "control-pass": control.readings("lag", lag(), every_s=0.25).end(),
        "sabotage-caught": sabotage,
        "misfire-fail": misfire,
        "known-weakness": thin(**weak).dies("server", 8.0),
    }


def main() -> int:
    """Write the files, if that is really meant."""
    if sys.argv[1:] != ["--overwrite"]:
        sys.stderr.write(WARNING.format(place=GOLDEN))
        return 2
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, run in runs().items():
        (GOLDEN / f"{name}.jsonl").write_text("".join(run.text()), encoding="utf-8")
        verdict = judge(run.build())
        (GOLDEN / f"{name}.verdict.json").write_text(verdict.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
