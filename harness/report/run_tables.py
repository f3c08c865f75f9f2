"""The tables of damage and of quality on a run's page, in words."""

from __future__ import annotations

from typing import Any

from harness.model.verdict import Damage
from harness.report.documents import Estimate, Quality
from harness.report.words import NONE, count, seconds


def damage_rows(cost: Damage) -> list[tuple[str, str]]:
    """Return the rows of the table of damage."""
    rows = [
        ("requests due from injection to the end", f"{cost.requests:,}"),
        ("silently wrong or stale, before detection", f"{cost.wrong_before_detection:,}"),
        ("silently wrong or stale, from detection to recovery", f"{cost.wrong_until_recovery:,}"),
        ("silently wrong or stale, after recovery", f"{cost.wrong_after:,}"),
        ("failed: not answered in time", f"{cost.failed:,}"),
        ("slow", f"{cost.slow:,}"),
        ("flagged: the answer says that a fallback was taken", f"{cost.flagged:,}"),
        ("score could not be checked", f"{cost.unverified:,}"),
        ("seconds with any damage", f"{cost.seconds:,}"),
    ]
    if cost.rows_hit:
        versions = ", ".join(map(str, cost.versions_poisoned)) or "none"
        rows += [
            ("rows that the fault changed", f"{cost.rows_hit:,}"),
            ("answers from those rows", count(cost.answers_from_hit_rows, "answer")),
            ("model versions that learned from them", versions),
        ]
    return rows


def quality_rows(quality: Quality | None) -> list[dict[str, Any]]:
    """Return the rows of the table of quality."""
    if quality is None:
        return []
    return [
        {
            "window": w.window,
            "stretch": f"{seconds(w.from_s)} to {seconds(w.to_s)}",
            "scored": f"{w.scored:,} of {w.requests:,}",
            "positives": f"{w.positives:,}",
            "cells": [_estimate(e) for e in (w.log_loss, w.log_loss_minus_control, w.auc, w.auc_minus_control)],
        }
        for w in quality.windows
    ]


def _estimate(estimate: Estimate | None) -> tuple[str, str]:
    if estimate is None or estimate.value is None:
        return NONE, ""
    interval = "" if estimate.lo is None or estimate.hi is None else f"{estimate.lo:.3f} to {estimate.hi:.3f}"
    return f"{estimate.value:.3f}", interval
