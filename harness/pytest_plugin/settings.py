"""The settings of a session: options of the command line before those of the ini file.

A path in the ini file is seen from the ini file, one on the command line from where pytest was called.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.model.plan import Twin

DEFAULT_REPORTS = Path("reports", "pytest")
TWINS = ("control", "sabotage")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a session was asked for."""

    reports: Path
    seed: int | None
    twin: Twin | None
    backend: str


def read_settings(config: pytest.Config) -> Settings:
    """Read and check them. Raises UsageError."""
    return Settings(reports_of(config), _seed(config), _twin(config), _backend(config))


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
        from harness.model.nearest import did_you_mean

        raise pytest.UsageError(f"harness_twin: there is no twin {twin!r} — {did_you_mean(twin, TWINS)}")
    return twin


def _backend(config: pytest.Config) -> str:
    given = _setting(config, "backend")
    if given is None:
        return "local"
    from harness.model.errors import ScenarioError
    from harness.runner.backend_factory import check_backend

    try:
        check_backend(str(given))
    except ScenarioError as error:
        raise pytest.UsageError(f"--harness-backend: {error}") from None
    return str(given)
