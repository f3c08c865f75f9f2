"""Public classes of the harness and the reference stack: one name, one class."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPEATED = {"Parameters"}
"""Names that are meant to repeat: each fault file has its `Parameters`."""


def test_no_two_public_classes_share_a_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for folder in ("harness", "compose/refstack"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert places["Parameters"], "the folders were found"
    assert {name: files for name, files in places.items() if len(files) > 1 and name not in REPEATED} == {}
