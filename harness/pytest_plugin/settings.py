"""The settings of a session: command-line options take precedence over those of the ini file.

A path in the ini file is relative to that file, one on the command line to where pytest was called.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.model.plan import Twin

DEFAULT_REPORTS = Path("reports", "pytest")
TWINS = ("control", "sabotage", "misfire")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a session, checked."""

    reports: Path
    seed: int | None
    twin: Twin | None
    backend: str
    attach: str | None = None
    paired: bool = False


def read_settings(config: pytest.Config) -> Settings:
    """Read and check the settings. Raises UsageError."""
    backend, twin, paired = _backend(config), _twin(config), _paired(config)
    if paired and twin is not None:
        raise pytest.UsageError("--harness-paired runs the controls itself; leave --harness-twin out")
    return Settings(reports_of(config), _seed(config), twin, backend, _attach(config, backend), paired)


def _setting(config: pytest.Config, name: str) -> Any:
    given = config.getoption(f"harness_{name}")
    return given if given is not None else config.getini(f"harness_{name}") or None


def reports_of(config: pytest.Config) -> Path:
    """Return the folder of the session's reports."""
    given = config.getoption("harness_reports")
    if given:
        return Path(config.invocation_params.dir, given).absolute()
    beside = config.inipath.parent if config.inipath is not None else config.rootpath
    return Path(beside, (config.getini("harness_reports") or DEFAULT_REPORTS)).absolute()


def _seed(config: pytest.Config) -> int | None:
    seed = _setting(config, "seed")
    try:
        return None if seed is None else int(seed)
    except ValueError:
        raise pytest.UsageError(f"harness_seed: {seed!r} is not a whole number") from None


def _twin(config: pytest.Config) -> Twin | None:
    twin: Twin | None = _setting(config, "twin")
    if twin is not None and twin not in TWINS:
        from harness.model.errors import did_you_mean

        raise pytest.UsageError(f"harness_twin: unknown twin {twin!r} — {did_you_mean(twin, TWINS)}")
    return twin


def _paired(config: pytest.Config) -> bool:
    given = _setting(config, "paired")
    if isinstance(given, str):
        words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False}
        words["off"] = False
        if given.lower() not in words:
            raise pytest.UsageError(f"harness_paired: {given!r} is neither true nor false")
        return words[given.lower()]
    return bool(given)


def _backend(config: pytest.Config) -> str:
    given = _setting(config, "backend")
    if given is None:
        return "compose" if _setting(config, "attach") else "local"
    from harness.model.errors import ScenarioError
    from harness.runner.execution.backend_factory import check_backend

    try:
        check_backend(str(given))
    except ScenarioError as error:
        raise pytest.UsageError(f"--harness-backend: {error}") from None
    return str(given)


def _attach(config: pytest.Config, backend: str) -> str | None:
    given: str | None = _setting(config, "attach")
    if given is None and backend == "local":
        return None
    from harness.model.errors import HarnessError
    from harness.runner.execution.backend_factory import project_to_attach_to

    if given is not None and backend == "local":
        raise pytest.UsageError("--harness-attach is for containers; leave --harness-backend local out")
    try:
        project = project_to_attach_to(given, backend)
    except HarnessError as error:
        raise pytest.UsageError(f"--harness-attach: {error}") from None
    if project is not None and (config.getoption("numprocesses", None) or 0) > 1:
        raise pytest.UsageError("runs on an attached stack go one at a time; leave -n out")
    return project
