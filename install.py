"""Sets up `.venv` for a clone: the locked packages, this project in place, and the reference stack's data.

`make install` runs it; without make, `python3 install.py` does the same. It needs nothing but the standard library,
and whatever it cannot do ends in one message with the remedy.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST = (3, 11)
NEEDED_GB = 3.0
"""What the environment takes on disk, pip's cache and temporary files included."""
NETWORK_SIGNS = (
    "ConnectionError",
    "NewConnectionError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "Read timed out",
    "ProxyError",
    "(from versions: none)",
)
DISK_SIGNS = ("No space left on device", "Disk quota exceeded")


class InstallError(Exception):
    """What could not be done, and the remedy."""


def check_python() -> None:
    """Refuse an interpreter that is too old, and name one on this machine that is not."""
    if sys.version_info >= OLDEST:
        return
    newer = [name for name in ("python3.14", "python3.13", "python3.12", "python3.11") if works(name)]
    remedy = f"make install PYTHON={newer[0]}" if newer else "install it, then: make install PYTHON=python3.12"
    wanted, version = ".".join(map(str, OLDEST)), sys.version.split()[0]
    raise InstallError(f"Python {wanted} or later is needed, and {sys.executable} is {version}\n  {remedy}")


def works(python: str) -> bool:
    """Whether there is such an interpreter and it starts: a shim of a version manager may not."""
    if shutil.which(python) is None:
        return False
    return subprocess.run((python, "-c", ""), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def check_disk(folder: Path) -> None:
    """Refuse a disk that is sure to be too small, before minutes are spent on it."""
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < NEEDED_GB:
        raise InstallError(
            f"the disk of {folder} has {free_gb:.1f} GB free, and {NEEDED_GB:g} GB are needed\n"
            "  make room, or put the environment on a larger disk: python3 install.py --venv FOLDER"
        )


def make_environment(venv: Path) -> None:
    """Make the virtual environment, with pip in it."""
    try:
        import ensurepip  # noqa: F401 - only whether it is there
        import venv as venv_module
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:2]))
        raise InstallError(
            f"this Python has no module {error.name!r}, which makes virtual environments\n"
            f"  on Debian and Ubuntu: sudo apt-get install python{version}-venv"
        ) from None
    if not (venv / "bin" / "pip").exists():
        if venv.exists() and not (venv / "pyvenv.cfg").exists() and (not venv.is_dir() or any(venv.iterdir())):
            raise InstallError(f"{venv} is no environment, and not empty\n  name a new folder: --venv FOLDER")
        venv_module.create(venv, with_pip=True, clear=venv.exists())


def run(what: str, *command: str) -> None:
    """Run a step; pass its output on, and turn a failure into one message."""
    print(f"install: {what}", flush=True)
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace")
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if not line.startswith("WARNING: Retrying"):
            sys.stderr.write(line)
    if process.wait() != 0:
        raise InstallError(explanation(what, "".join(lines)))


def explanation(what: str, errors: str) -> str:
    """Return why a step failed, in one message with the remedy."""
    if any(sign in errors for sign in DISK_SIGNS):
        return f"{what}: the disk is full\n  make room ({NEEDED_GB:g} GB are needed), then run it again"
    if any(sign in errors for sign in NETWORK_SIGNS):
        return (
            f"{what}: the package index cannot be reached, or lacks a package\n"
            "  check the network, or set PIP_INDEX_URL to a mirror or PIP_FIND_LINKS to a folder of wheels"
        )
    return f"{what}: failed, see above\n  fix it, then run it again: what is installed already is kept"


def install(venv: Path) -> None:
    """Do all the steps."""
    check_python()
    if not (venv / "installed").exists():
        check_disk(venv)
    print(f"install: the environment {venv.name}, with {sys.executable}", flush=True)
    make_environment(venv)
    python = str(venv / "bin" / "python")
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    # The lock has hashes, so pip refuses any file but the locked ones.
    locked = ("--require-hashes", "-r", "requirements.lock")
    run("the locked packages (about two minutes the first time)", *pip, *locked)
    # pip compiles on one core only; this takes all of them.
    packages = venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    # Some packages carry files for other Pythons, so its exit code says nothing.
    subprocess.run((python, "-m", "compileall", "-qq", "-j", "0", str(packages)), check=False)
    run("this project, in place", *pip, "--no-deps", "--no-build-isolation", "--editable", ".")
    sources = (str(ROOT / "harness"), str(ROOT / "compose" / "refstack"))
    subprocess.run((python, "-m", "compileall", "-qq", "-j", "0", *sources), check=False)
    run("the reference stack's data", python, "-m", "refstack.prepare")
    (venv / "installed").touch()


def main() -> int:
    """Return 0 once everything is in place."""
    parser = argparse.ArgumentParser(prog="install.py", description=__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="where to make the environment")
    try:
        install(parser.parse_args().venv.absolute())
    except InstallError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"install: {explanation(str(error.filename or ROOT), str(error))}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"install: {explanation(' '.join(map(str, error.cmd[:3])), str(error.output or error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("install: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
