"""`install.py`: whatever a machine lacks ends in one message with the remedy."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", ROOT / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failure(install: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the script, which must fail, and return what it wrote on standard error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["install.py", *arguments])
        assert install.main() == 1
    return capsys.readouterr().err


def test_an_old_python_is_refused_and_a_newer_one_named(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    monkeypatch.setattr(install, "works", lambda python: python == "python3.12")
    message = failure(install, capsys)
    assert "Python 3.11 or later is needed" in message
    assert "make install PYTHON=python3.12" in message


def test_an_interpreter_that_does_not_start_is_not_offered(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, code in (("python3.12", 0), ("python3.13", 127)):
        shim = tmp_path / name
        shim.write_text(f"#!/bin/sh\nexit {code}\n")
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [install.works(name) for name in ("python3.12", "python3.13", "python3.14")] == [True, False, False]


def test_without_ensurepip_the_message_names_the_package(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    message = failure(install, capsys, "--venv", str(tmp_path / "venv"))
    assert "no module 'ensurepip'" in message
    assert f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in message


def test_a_small_disk_is_refused_before_anything_is_made(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 9 * 10**8, 10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    message = failure(install, capsys, "--venv", str(tmp_path / "venv"))
    assert "0.1 GB free, and 3 GB are needed" in message
    assert list(tmp_path.iterdir()) == []


def test_the_disk_of_the_environment_is_measured_and_only_for_a_first_installation(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    measured: list[Path] = []

    def usage(folder: Path) -> object:
        measured.append(folder)
        return namedtuple("usage", "total used free")(10**9, 9 * 10**8, 10**8)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    for step in ("make_environment", "run"):
        monkeypatch.setattr(install, step, lambda *arguments: None)
    monkeypatch.setattr(install.subprocess, "run", lambda *arguments, **settings: None)
    venv = tmp_path / "other" / "venv"
    with pytest.raises(install.InstallError, match="are needed"):
        install.install(venv)
    assert measured == [tmp_path]
    venv.mkdir(parents=True)
    (venv / "installed").touch()
    install.install(venv)
    assert measured == [tmp_path]


def test_the_sources_are_compiled_too(install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[tuple[str, ...]] = []
    for step in ("check_disk", "make_environment", "run"):
        monkeypatch.setattr(install, step, lambda *arguments: None)
    monkeypatch.setattr(install.subprocess, "run", lambda command, **settings: commands.append(command))
    install.install(tmp_path)
    compiled = {word for command in commands if "compileall" in command for word in command}
    assert {str(ROOT / "harness"), str(ROOT / "compose" / "refstack")} <= compiled


def test_a_disk_that_fills_up_meanwhile_is_named(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(*arguments: object, **settings: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(install, "make_environment", full)
    assert "the disk is full" in failure(install, capsys, "--venv", str(tmp_path / "venv"))


@pytest.mark.slow
def test_an_index_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    """A whole run of the script with pip's index behind a closed port of this machine."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "install.py"), "--venv", str(tmp_path / "venv")],
        env=environment, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the package index cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "venv" / "installed").exists()


def test_a_folder_with_other_things_in_it_is_left_alone(install: ModuleType, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    with pytest.raises(install.InstallError, match="is no environment, and not empty"):
        install.make_environment(tmp_path)
    with pytest.raises(install.InstallError, match="is no environment"):
        install.make_environment(thesis)
    assert thesis.read_text() == "years of work"
