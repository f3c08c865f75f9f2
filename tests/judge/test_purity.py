"""The judge is a pure function: none of our modules that it reaches imports a clock, a network, a process or chance."""

from __future__ import annotations

import ast
from pathlib import Path

import harness
from harness.judge import judge as entry

ROOT = Path(harness.__file__).parent
FORBIDDEN = {
    "time", "socket", "ssl", "select", "selectors", "subprocess", "random", "secrets", "uuid", "asyncio", "threading",
    "multiprocessing", "signal", "os", "urllib", "http", "aiohttp", "requests", "psutil", "shutil", "tempfile",
}  # fmt: skip
CALLS = {"now", "utcnow", "today", "open", "getenv", "input", "print"}


def _file(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split(".")[1:])
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def _imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _reached() -> dict[str, ast.Module]:
    """Return every module of ours that the judge reaches, itself included, with what stands on the way to it."""
    todo = [entry.__module__]
    seen: dict[str, ast.Module] = {}
    while todo:
        module = todo.pop()
        path = _file(module)
        if module in seen or path is None:
            continue
        seen[module] = ast.parse(path.read_text(encoding="utf-8"))
        parts = module.split(".")
        packages = [".".join(parts[:k]) for k in range(1, len(parts))]
        todo += packages + [name for name in _imports(seen[module]) if name.split(".")[0] == "harness"]
    return seen


def test_no_module_that_the_judge_reaches_imports_a_clock_a_network_a_process_or_chance() -> None:
    reached = _reached()
    assert {"harness.judge.alerts", "harness.journal.records", "harness.model.series", "harness"} <= set(reached)
    for module, tree in reached.items():
        impure = {name for name in _imports(tree) if name.split(".")[0] in FORBIDDEN}
        assert not impure, f"{module} imports {impure}"


def test_no_module_that_the_judge_reaches_asks_for_the_time_or_a_file() -> None:
    for module, tree in _reached().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                assert name not in CALLS, f"{module}:{node.lineno} calls {name}"


def test_the_judge_reaches_nothing_of_the_run() -> None:
    rooms = {module.split(".")[1] for module in _reached() if "." in module}
    assert rooms == {"judge", "journal", "model"}
    assert "harness.journal.writer" not in _reached()
