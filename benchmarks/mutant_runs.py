"""Runs tests on a copy of a package in forked processes: first as it is, to learn which test reaches which line, and
then with one mutant after the other in it.

The copy stands before the package itself on the path. Nothing that is forked from has imported the package, so each
process reads its files anew; bytecode is taken for a file only while its content is the same (PEP 552).
"""

from __future__ import annotations

import importlib
import json
import math
import os
import py_compile
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

import coverage
import hypothesis
import pydantic
import pytest

from benchmarks.mutation import Mutant
from benchmarks.results import CannotMeasureError

WARM = (coverage, hypothesis, pydantic, pytest)
"""Imported before forking, so that it is not done again for each mutant."""
START_S = 120.0
"""How long a process may take until its first test begins."""
PATIENCE_S, PATIENCE_TIMES = 15.0, 10.0
"""A test may take so many times as long as it does without a mutant, and so many seconds more."""
MEMORY_BYTES = 6 << 30
OPTIONS = (
    *("-x", "-q", "--hypothesis-seed=0", "-m", "not stack_run and not docker"),
    *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"),
    # What was imported before forking.
    *("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"),
)
Status = Literal["killed", "survived", "timed out", "not reached"]


@dataclass(frozen=True)
class Baseline:
    """The tests without a mutant: how long each took, and which ones reached which lines of which file.

    Under the name "" are the lines that are reached while modules are imported.
    """

    took_s: Mapping[str, float]
    reached: Mapping[str, Mapping[int, Sequence[str]]]

    def tests_for(self, mutant: Mutant, within_s: float = math.inf) -> list[str]:
        """Return the tests that can notice a mutant, as many as usually end within a time.

        Those in the test module of the same name come first, and of these, and of the others, the shortest. What is
        reached by an import may have any effect: the tests that reach more of the same file come before others.
        """
        lines = self.reached.get(mutant.file, {})
        names = {name for line in range(mutant.line, mutant.last_line + 1) for name in lines.get(line, ())}
        own = f"/test_{Path(mutant.file).stem}.py::"
        by_time = sorted(self.took_s, key=lambda name: (own not in name, self.took_s[name]))
        found = [name for name in by_time if name in names]
        if "" in names:
            near = {name for tests in lines.values() for name in tests}
            rest = [name for name in by_time if name not in names]
            found += [name for name in rest if name in near] + [name for name in rest if name not in near]
        ends_s = accumulate(self.took_s[name] for name in found)
        return [name for name, end_s in zip(found, ends_s, strict=True) if end_s <= within_s]


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: `by` names the test that noticed it, or in which time ran out."""

    status: Status
    by: str = ""
    took_s: float = 0.0


class PackageCopy:
    """A copy of a package that stands before the package itself, for this process and all that it starts."""

    def __init__(self, root: Path, package: str, tests: Sequence[Path]) -> None:
        """Name a package in `root`, and the tests that are run. The package must not have been imported."""
        if package in sys.modules:
            raise CannotMeasureError(f"{package} has been imported: a mutant of it would not be")
        self.root, self.package, self.folder = root, package, Path()
        self._tests = [str(test) for test in tests]

    @contextmanager
    def made(self) -> Iterator[PackageCopy]:
        """Make the copy for a while."""
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            self.folder = Path(folder)
            copy = self.folder / self.package
            shutil.copytree(self.root / self.package, copy, ignore=shutil.ignore_patterns("__pycache__"))
            for file in copy.rglob("*.py"):
                py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
            yield self

    def baseline(self) -> Baseline:
        """Run all tests without a mutant. Raises CannotMeasureError where one of them does not pass."""
        told = _Run(self, self._tests, None, self.folder / "reached.json")
        took_s: dict[str, float] = {}
        for word, name, took in told.words({}, patience_s=3600.0):
            if word == "failed":
                raise CannotMeasureError(f"{name} does not pass without a mutant; see {told.log}\n{told.said()}")
            if word == "passed":
                took_s[name] = took
        if not took_s or not told.reached.exists():
            raise CannotMeasureError(f"the tests did not run: {told.said()}")
        return Baseline(took_s, _lines(json.loads(told.reached.read_text()), self.folder))

    def judged(self, mutant: Mutant, baseline: Baseline, within_s: float = math.inf) -> Outcome:
        """Put a mutant into the copy, run the tests that can notice it until one does, and take it out again."""
        tests = baseline.tests_for(mutant, within_s)
        if not tests:
            return Outcome("not reached")
        path = self.folder / mutant.file
        source = path.read_bytes()
        began_s = time.monotonic()
        if mutant.file.removesuffix(".py").replace("/", ".") in sys.modules:
            raise CannotMeasureError(f"{mutant.file} has been imported: a mutant of it would not be")
        try:
            path.write_bytes(mutant.applied(source))
            status, by = self._noticed(tests, baseline)
        finally:
            path.write_bytes(source)
        return Outcome(status, by, time.monotonic() - began_s)

    def _noticed(self, tests: Sequence[str], baseline: Baseline) -> tuple[Status, str]:
        files = list(dict.fromkeys(str(self.root / name.partition("::")[0]) for name in tests))
        run = _Run(self, files, tests, None)
        last, left = "the import", 1
        for word, name, number in run.words(baseline.took_s, START_S):
            if word in ("failed", "timed out"):
                return ("killed" if word == "failed" else "timed out"), name or last
            last = name
            # A mutant may be among what tests are made from, so there may be fewer.
            left = int(number) if word == "collected" else left - (word == "passed")
        return ("killed", f"the end of the process after {last}") if left else ("survived", "")

    def enter(self) -> None:
        """Let this process, and all that it starts, import the copy."""
        sys.path.insert(0, str(self.folder))
        os.environ["PYTHONPATH"] = str(self.folder)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(self.folder / "hypothesis")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.chdir(self.root)

    def warm(self, modules: Sequence[str]) -> None:
        """Import modules of the copy before forking. From then on no mutant of what they import is one."""
        self.enter()
        for name in modules:
            importlib.import_module(name)


class _Run:
    """One forked process that runs tests and tells of each."""

    def __init__(self, copy: PackageCopy, files: Sequence[str], order: Sequence[str] | None, reached: Path | None):
        self.log = copy.folder / "log.txt"
        self.reached = reached or Path()
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reading)
            _child(copy, files, _Teller(os.fdopen(writing, "w"), order), self.log, reached)
        os.close(writing)
        self._pipe = reading

    def words(self, usual_s: Mapping[str, float], patience_s: float) -> Iterator[tuple[str, str, float]]:
        """Yield what the process tells: (word, test, number); `timed out` where it is silent for too long.

        The process is ended with that.
        """
        left, limit_s = b"", patience_s
        try:
            while True:
                if not select.select([self._pipe], [], [], limit_s)[0]:
                    yield "timed out", "", limit_s
                    return
                new = os.read(self._pipe, 1 << 16)
                if not new:
                    return
                *lines, left = (left + new).split(b"\n")
                for line in lines:
                    word, name, number = json.loads(line)
                    limit_s = PATIENCE_S + PATIENCE_TIMES * usual_s.get(name, 0.0) if usual_s else patience_s
                    yield word, name, number
        finally:
            os.close(self._pipe)
            os.kill(self._pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)  # what it started
            os.waitpid(self._pid, 0)

    def said(self) -> str:
        """Return the end of what the process printed."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


@dataclass(eq=False)
class _Teller:
    """A pytest plugin: the order of the tests, and a line for each that begins and ends."""

    pipe: IO[str]
    order: Sequence[str] | None
    covered: Any = None
    _began_s: float = field(default=0.0, init=False)

    def tell(self, word: str, name: str, number: float = 0.0) -> None:
        """Write one line: a word, a test, and how many or how long."""
        self.pipe.write(json.dumps([word, name, number]) + "\n")
        self.pipe.flush()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests that are asked for, in that order, and tell how many there are."""
        if self.order is not None:
            by_name = {item.nodeid: item for item in items}
            items[:] = [by_name[name] for name in self.order if name in by_name]
        self.tell("collected", "", len(items))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Tell that a test begins; what it reaches is its own."""
        self.tell("begun", item.nodeid)
        self._began_s = time.monotonic()
        if self.covered is not None:
            self.covered.switch_context(item.nodeid)
        result = yield
        if self.covered is not None:
            self.covered.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell how a test ended."""
        if report.failed:
            self.tell("failed", report.nodeid)
        elif report.when == "teardown":
            self.tell("passed", report.nodeid, time.monotonic() - self._began_s)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell of a file that cannot be read."""
        if report.failed:
            self.tell("failed", f"the import of {report.nodeid}")


def _child(copy: PackageCopy, files: Sequence[str], teller: _Teller, log: Path, reached: Path | None) -> NoReturn:
    """Run the tests and end this process, whatever happens."""
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        copy.enter()
        covered = None
        if reached is not None:
            covered = coverage.Coverage(data_file=None, config_file=False, source=[str(copy.folder / copy.package)])
            covered.start()
        teller.covered = covered
        code = int(pytest.main([*OPTIONS, f"--rootdir={copy.root}", *files], plugins=[teller]))
        if covered is not None and reached is not None and code == 0:
            covered.stop()
            data = covered.get_data()
            lines = {file: data.contexts_by_lineno(file) for file in data.measured_files()}
            reached.write_text(json.dumps(lines))
        imported = sys.modules.get(copy.package)
        if imported is None or not str(imported.__file__).startswith(str(copy.folder)):
            teller.tell("failed", f"the import of the copy: {imported}")
    except BaseException as error:  # noqa: BLE001 - a process that was forked must not go on as its parent
        teller.tell("failed", f"{type(error).__name__}: {error}"[:200])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _lines(told: Mapping[str, Mapping[str, Sequence[str]]], folder: Path) -> dict[str, dict[int, Sequence[str]]]:
    return {
        str(Path(file).relative_to(folder)): {int(line): names for line, names in lines.items()}
        for file, lines in told.items()
    }
