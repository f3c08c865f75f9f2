"""Replacements for the public images of `examples/mlflow`, where none can be pulled.

`python tests/containers/example_images.py` builds missing images and prints the variables that make the example's
compose file use them. Servers are Debian packages. Python packages are wheels, downloaded here and installed without a
network. The tag of an image contains a digest of its inputs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from images import ROOT, base_image, build, digest, present, run_command

EXAMPLE = ROOT / "examples" / "mlflow"
ENTRYPOINT = Path(__file__).with_name("postgres-entrypoint.sh")
SERVERS = ("postgresql", "prometheus", "prometheus-alertmanager")
VARIABLES = ("POSTGRES_IMAGE", "RCLONE_IMAGE", "PROMETHEUS_IMAGE", "ALERTMANAGER_IMAGE")
# Dependencies of mlflow that no service imports: plotting, and the tracking server's pages.
UNUSED = (
    "matplotlib",
    "mpl_toolkits",
    "fontTools",
    "PIL",
    "pillow.libs",
    "kiwisolver",
    "contourpy",
    "mlflow/server/js",
    "bin",
)
_PACKAGES = """\
FROM {base}
COPY site /usr/local/lib/python3.11/dist-packages
COPY bin /usr/local/bin
ENV PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
WORKDIR /app
COPY requirements.txt .
"""
# pip writes the commands for the Python that it runs on; these are for the image's. mlflow calls uvicorn by its name.
_COMMANDS = {"mlflow": "mlflow", "uvicorn": "uvicorn"}
_COMMAND = '#!/bin/sh\nexec /usr/bin/python3 -m {module} "$@"\n'
_SERVERS = """\
FROM {base}
COPY entrypoint.sh /usr/local/bin/postgres-entrypoint.sh
COPY rclone /usr/local/bin/rclone
ENV PGDATA=/var/lib/postgresql/data
RUN ln -s /usr/bin/prometheus-alertmanager /usr/local/bin/alertmanager \\
 && ln -sf /usr/lib/postgresql/15/bin/* /usr/local/bin/ \\
 && mkdir -p /prometheus /alertmanager $PGDATA && chown postgres $PGDATA
ENTRYPOINT ["/usr/local/bin/postgres-entrypoint.sh"]
CMD ["postgres"]
"""


def ml_image() -> str:
    """Return the tag of the image of the example's own services, as its Dockerfile builds it; build it if missing."""
    packages = packages_image()
    sources = sorted((EXAMPLE / "app").glob("*.py"))
    tag = f"harness-test/example-ml:{digest(packages, *(path.read_bytes() for path in sources))}"
    if not present(tag):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(EXAMPLE / "app", Path(folder) / "app", ignore=shutil.ignore_patterns("__pycache__"))
            build(f"FROM {packages}\nCOPY app .\n", Path(folder), tag)
    return tag


def packages_image() -> str:
    """Return the tag of an image with the packages of the services; build it if missing."""
    base = base_image()
    requirements = EXAMPLE / "requirements.txt"
    inputs = (base, requirements.read_bytes(), _PACKAGES, _COMMAND, *_COMMANDS, *UNUSED)
    tag = f"harness-test/example-packages:{digest(*inputs)}"
    if not present(tag):
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            _site(context / "site", requirements)
            shutil.copy(requirements, context)
            (context / "bin").mkdir()
            for name, module in _COMMANDS.items():
                (context / "bin" / name).write_text(_COMMAND.format(module=module), encoding="utf-8")
                (context / "bin" / name).chmod(0o755)
            build(_PACKAGES.format(base=base), context, tag)
    return tag


def servers_image() -> str:
    """Return the tag of one image with PostgreSQL, rclone, Prometheus and Alertmanager; build it if missing."""
    base = base_image(SERVERS)
    rclone = Path(sys.executable).with_name("rclone")
    tag = f"harness-test/example-servers:{digest(base, ENTRYPOINT.read_bytes(), rclone.read_bytes(), _SERVERS)}"
    if not present(tag):
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            shutil.copy(ENTRYPOINT, context / "entrypoint.sh")
            shutil.copy(rclone, context / "rclone")
            for name in ("entrypoint.sh", "rclone"):
                (context / name).chmod(0o755)
            build(_SERVERS.format(base=base), context, tag)
    return tag


def variables() -> dict[str, str]:
    """Return the environment variables that select the images above."""
    return {**dict.fromkeys(VARIABLES, servers_image()), "ML_IMAGE": ml_image()}


def _site(folder: Path, requirements: Path) -> None:
    """Install the packages for the image's Python, without the unused ones."""
    options = ["--quiet", "--only-binary=:all:", "--python-version", "3.11", "--target", str(folder)]
    run_command(
        sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *options, "-r", str(requirements)
    )
    for name in UNUSED:
        shutil.rmtree(folder / name)
    for tests in sorted(folder.rglob("tests")):
        shutil.rmtree(tests, ignore_errors=True)


if __name__ == "__main__":
    for name, value in variables().items():
        print(f"{name}={value}")
