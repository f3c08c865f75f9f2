"""Mutants: what is changed and what is not, which ones are drawn, and which ones the tests are said to notice."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.mutant_runs import Baseline, Outcome
from benchmarks.mutants import summary, watched
from benchmarks.mutation import Mutant, mutants, sample
from benchmarks.results import ROOT


def changes(source: str) -> list[str]:
    """Return the changed lines of a function's body, in order of their places."""
    lines = "\n".join(f"    {line}" for line in source.splitlines())
    found = mutants(f"def f(a, b, c):\n{lines}\n".encode(), "f.py")
    return [one.after for one in found]


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("return a < b", ["return a <= b"]),
        ("return a <= b > c", ["return a < b > c", "return a <= b >= c"]),
        ("return a >= b", ["return a > b"]),
        ("return a == b != c", ["return a != b != c", "return a == b == c"]),
        ("return a is None", ["return a is not None"]),
        ("return a is not None", ["return a is None"]),
        ("return a in b", ["return a not in b"]),
        ("return a not in b", ["return a in b"]),
        ("return a and b and c", ["return a or b or c"]),
        ("return (\n    a\n    # this and that\n    and b\n)", ["a # this and that or b"]),
        ("return a and (b or c)", ["return a or (b or c)", "return a and (b and c)"]),
        ("return not (a or b)", ["return (a or b)", "return not (a and b)"]),
        ("return a + b - c", ["return a - b - c", "return a + b + c"]),
        ("return a * b // c", ["return a / b // c", "return a * b / c"]),
        ("return (a | b) & c", ["return (a & b) & c", "return (a | b) | c"]),
        ("a += b", ["a -= b"]),
        ("return 3", ["return 2", "return 4"]),
        ("return 0.5", ["return 0.25", "return 0.75"]),
        ("return 0.0", ["return 1.0"]),
        ("return True", ["return False"]),
        ("return a[-b]", ["return a[b]"]),
        ("return min(a, b)", ["return max(a, b)"]),
        ("return any(a)", ["return all(a)"]),
        ("if a:\n    b = c\n    return b\nreturn c", ["pass"]),
        ("for a in b:\n    if a:\n        continue\n    c(a)", ["pass"]),
        ("return a if b else c", ["return (c if b else a)"]),
        ("return [x for x in a if x if b]", ["return [x for x in a if b]", "return [x for x in a if x]"]),
        ("return c(x for x in a if x)", ["return c(x for x in a)"]),
    ],
)  # fmt: skip
def test_one_token_is_changed_at_a_time(source: str, changed: list[str]) -> None:
    assert changes(source) == changed


@pytest.mark.parametrize(
    "source",
    [
        '"""Say 3 < 4 and 5."""',
        "assert a < b",
        'return f"{a + 1}"',
        'return "a < b"',
        "return zip(a, b, strict=True)",
        'return a + "text"',
        "x: Literal[1] = a",
        "return None",
        "if a:\n    return b\nelse:\n    return c",
        "if TYPE_CHECKING:\n    a = 1",
        "@cache(1)\ndef g(): ...",
    ],
)
def test_what_decides_nothing_is_left_alone(source: str) -> None:
    assert changes(source) == []


def test_the_bounds_of_a_field_and_a_default_are_changed() -> None:
    source = b"class C:\n    x: Annotated[int, Field(ge=1, description='2')] = 5\ndef f(y: int = 7): ...\n"
    assert [(one.line, one.operator) for one in mutants(source, "c.py")] == [
        (2, "constant"), (2, "constant"), (2, "constant"), (2, "constant"), (3, "constant"), (3, "constant"),
    ]  # fmt: skip


@pytest.mark.slow
def test_every_mutant_of_what_reaches_a_verdict_is_another_program() -> None:
    found = watched()
    assert len(found) > 2000
    assert len({one.key for one in found}) == len(found)
    for one in sample(found, 60, seed=3):
        source = (ROOT / one.file).read_bytes()
        changed = one.applied(source)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), one
        assert one.line <= one.last_line <= source.count(b"\n") + 1


def test_a_sample_depends_on_the_seed_and_on_each_mutant_alone() -> None:
    before = mutants(
        b"def f(a, b):\n    return a < b\n\n\ndef g(a, b):\n    return a + b, a - b, a * b, a is b\n", "f.py"
    )
    moved = mutants(
        b"X = 1\n\n\ndef f(a, b):\n    return a < b\n\n\ndef g(a, b):\n    return a + b, a - b, a * b, a is b\n", "f.py"
    )

    def drawn(found: list[Mutant], size: int, seed: int = 1) -> set[str]:
        return {one.key for one in sample(found, size, seed)}

    assert drawn(before, 3) <= drawn(before, 4)
    assert drawn(before, 5) == {one.key for one in before}
    assert drawn(moved, 7) > drawn(before, 5)
    assert len({frozenset(drawn(before, 2, seed)) for seed in range(20)}) > 3


OWN, QUICK, SLOW, OTHER, FAR = (
    "t/test_m.py::own",
    "t/test_a.py::quick",
    "t/test_a.py::slow",
    "t/test_a.py::b",
    "t/test_b.py::c",
)
BASELINE = Baseline(
    {SLOW: 3.0, QUICK: 0.1, OTHER: 0.2, FAR: 0.01, OWN: 0.5},
    {"p/m.py": {1: [""], 2: [SLOW, QUICK, OWN], 3: [OTHER]}},
)


@pytest.mark.parametrize(
    ("lines", "tests"),
    [
        ((2, 2), [OWN, QUICK, SLOW]),
        ((2, 3), [OWN, QUICK, OTHER, SLOW]),
        ((1, 1), [OWN, QUICK, OTHER, SLOW, FAR]),
        ((4, 4), []),
    ],
    ids=["one-line", "two-lines", "at-import", "not-reached"],
)
def test_the_tests_that_reach_a_line_are_run_its_own_and_the_shortest_first(
    lines: tuple[int, int], tests: list[str]
) -> None:
    mutant = Mutant("p/m.py", *lines, "constant", "1", "2", "", 0, 0, b"")
    assert BASELINE.tests_for(mutant) == tests
    assert BASELINE.tests_for(mutant, within_s=1.0) == [name for name in tests if name in (OWN, QUICK, OTHER)]


def test_a_share_below_what_is_to_be_reached_is_wrong_and_what_is_left_is_listed() -> None:
    one = Mutant("harness/judge/m.py", 7, 7, "constant", "x = 1", "x = 2", "", 0, 0, b"")
    noticed = [(one, Outcome("killed", "t"))] * 18 + [(one, Outcome("timed out", "t"))]
    assert summary([*noticed, (one, Outcome("survived"))]).wrong == []
    found = summary([*noticed, (one, Outcome("survived")), (one, Outcome("not reached"))])
    assert found.wrong == ["only 90.5% of the mutants were noticed"]
    assert found.figures["left"] == [["harness/judge/m.py:7", "constant", "x = 1", "x = 2"]] * 2


TOY = """\
LIMIT = 10


def over(value):
    return value > LIMIT


def count(number):
    while number > 0:
        number -= 1
    return number


def unused(value):
    return value + 1
"""
TESTS = """\
from toy.limit import count, over


def test_over():
    assert over(11)
    assert not over(9)


def test_count():
    assert count(3) == 0
"""
RUN = """\
import json, sys
from pathlib import Path

from benchmarks import mutant_runs
from benchmarks.mutation import mutants
from benchmarks.results import CannotMeasureError

root = Path(sys.argv[1])
mutant_runs.PATIENCE_S = 2.0
file = root / "toy" / "limit.py"
with mutant_runs.PackageCopy(root, "toy", [root / "tests"]).made() as copy:
    baseline = copy.baseline()
    for mutant in mutants(file.read_bytes(), "toy/limit.py"):
        found = copy.judged(mutant, baseline)
        print(json.dumps([mutant.after, found.status, found.by]))
    copy.warm(["toy.limit"])
    try:
        copy.judged(mutants(file.read_bytes(), "toy/limit.py")[0], baseline)
    except CannotMeasureError as error:
        print(json.dumps(str(error)))
"""


@pytest.mark.slow
def test_mutants_that_tests_notice_are_told_from_those_that_they_do_not(tmp_path: Path) -> None:
    for name, text in (("toy/__init__.py", ""), ("toy/limit.py", TOY), ("tests/test_limit.py", TESTS)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = subprocess.run([sys.executable, "-c", RUN, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    over, count = "tests/test_limit.py::test_over", "tests/test_limit.py::test_count"
    assert found == [
        ["LIMIT = 11", "killed", over],
        ["LIMIT = 9", "survived", ""],
        ["return value >= LIMIT", "survived", ""],
        ["while number >= 0:", "killed", count],
        ["while number > -1:", "killed", count],
        ["while number > 1:", "killed", count],
        ["number += 1", "timed out", count],
        ["number -= 0", "timed out", count],
        ["number -= 2", "killed", count],
        ["return value - 1", "not reached", ""],
        ["return value + 0", "not reached", ""],
        ["return value + 2", "not reached", ""],
        "toy/limit.py has been imported: a mutant of it would not be",
    ]
    assert (tmp_path / "toy" / "limit.py").read_text() == TOY


@pytest.mark.slow
def test_tests_that_do_not_pass_without_a_mutant_measure_nothing(tmp_path: Path) -> None:
    for name, text in (
        ("toy/__init__.py", ""),
        ("toy/limit.py", TOY.replace("10", "12")),
        ("tests/test_limit.py", TESTS),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = subprocess.run([sys.executable, "-c", RUN, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 1
    assert "tests/test_limit.py::test_over does not pass without a mutant" in done.stderr
