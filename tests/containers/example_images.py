"""Replacements for the images of `examples/`, where none can be pulled.

`python tests/containers/example_images.py NAME` builds missing images and prints the variables that make that example's
compose file use them. Servers are Debian packages. Python packages are wheels, downloaded here and installed without a
network. The tag of an image contains a digest of its inputs.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from images import ROOT, base_image, build, digest, present, run_command

ENTRYPOINT = Path(__file__).with_name("servers-entrypoint.sh")
SERVERS = ("postgresql", "prometheus", "prometheus-alertmanager", "redis-server")
_PACKAGES = """\
FROM {base}
COPY site /usr/local/lib/python3.11/dist-packages
COPY bin /usr/local/bin
ENV PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
WORKDIR /app
COPY requirements.txt .
"""
_COMMAND = '#!/bin/sh\nexec /usr/bin/python3 -c "{call}" "$@"\n'
_SERVERS = """\
FROM {base}
COPY entrypoint.sh /usr/local/bin/servers-entrypoint.sh
COPY rclone /usr/local/bin/rclone
ENV PGDATA=/var/lib/postgresql/data
RUN ln -s /usr/bin/prometheus-alertmanager /usr/local/bin/alertmanager \\
 && ln -sf /usr/lib/postgresql/15/bin/* /usr/local/bin/ \\
 && mkdir -p /prometheus /alertmanager $PGDATA && chown postgres $PGDATA
ENTRYPOINT ["/usr/local/bin/servers-entrypoint.sh"]
CMD ["postgres"]
"""


@dataclass(frozen=True)
class Example:
    """An example: its folder, and what its images are made of."""

    name: str
    image: str
    """The variable of the image that the example's own Dockerfile builds."""
    servers: tuple[str, ...]
    """The variables of the public images."""
    ports: tuple[str, ...]
    """The variables of the published ports."""
    decision: str
    """The value of an answer that is 0 or 1, as `expect` of a request names it."""
    copied: Mapping[str, str] = field(default_factory=lambda: {"app": "."})
    """The folders that the Dockerfile copies, and where to."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """pip writes commands for the Python that it runs on; these are for the image's: what each of them calls."""
    unused: tuple[str, ...] = ()
    """Folders of packages that no service reads."""
    also: tuple[str, ...] = ()
    """Packages that only Debian's Python, 3.11.2, needs besides."""

    @property
    def folder(self) -> Path:
        """Where it is."""
        return ROOT / "examples" / self.name

    def variables(self) -> dict[str, str]:
        """Return the environment variables that select images built here; build those that are missing."""
        return {**dict.fromkeys(self.servers, servers_image()), self.image: own_image(self)}


MLFLOW = Example(
    "mlflow",
    image="ML_IMAGE",
    servers=("POSTGRES_IMAGE", "RCLONE_IMAGE", "PROMETHEUS_IMAGE", "ALERTMANAGER_IMAGE"),
    ports=("S3_PORT", "MLFLOW_PORT", "SERVING_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT"),
    decision="predictions.0",
    # mlflow calls uvicorn by its name.
    commands={
        name: f"import runpy; runpy.run_module('{name}', run_name='__main__', alter_sys=True)"
        for name in ("mlflow", "uvicorn")
    },
    # Plotting, and the tracking server's pages.
    unused=(
        "matplotlib",
        "mpl_toolkits",
        "fontTools",
        "PIL",
        "pillow.libs",
        "kiwisolver",
        "contourpy",
        "mlflow/server/js",
        "bin",
    ),
)
FEAST = Example(
    "feast",
    image="FEAST_IMAGE",
    servers=("POSTGRES_IMAGE", "REDIS_IMAGE", "PROMETHEUS_IMAGE"),
    ports=("FEATURES_PORT", "MODEL_PORT", "PROMETHEUS_PORT"),
    decision="accepts",
    copied={"repo": "repo", "app": "."},
    commands={"feast": "from feast.cli.cli import cli; cli(prog_name='feast')"},
    unused=("mypy", "mypyc", "feast/ui", "bin"),
    also=("async-timeout",),
)
RAY_SERVE = Example(
    "ray-serve",
    image="RAY_IMAGE",
    servers=("REDIS_IMAGE", "PROMETHEUS_IMAGE"),
    ports=("SERVE_PORT", "PROMETHEUS_PORT"),
    decision="fraud",
    commands={
        "ray": "from ray.scripts.scripts import main; main()",
        "serve": "from ray.serve.scripts import cli; cli(prog_name='serve')",
    },
    # Pages, reinforcement learning, Java.
    unused=("ray/dashboard/client", "ray/rllib", "ray/jars", "bin"),
    also=("async-timeout",),
)
EXAMPLES = (MLFLOW, FEAST, RAY_SERVE)


def own_image(example: Example) -> str:
    """Return the tag of the image of an example's own services, as its Dockerfile builds it; build it if missing."""
    packages = packages_image(example)
    sources = sorted(
        path
        for folder in example.copied
        for path in (example.folder / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    )
    names = (str(path.relative_to(example.folder)) for path in sources)
    tag = f"harness-test/example-{example.name}:{digest(packages, *names, *(path.read_bytes() for path in sources))}"
    if not present(tag):
        with tempfile.TemporaryDirectory() as context:
            for folder in example.copied:
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(example.folder / folder, Path(context) / folder, ignore=ignored)
            lines = [f"COPY {folder} {place}" for folder, place in example.copied.items()]
            build("\n".join([f"FROM {packages}", *lines, ""]), Path(context), tag)
    return tag


def packages_image(example: Example) -> str:
    """Return the tag of an image with the packages of an example's services; build it if missing."""
    base = base_image()
    requirements = example.folder / "requirements.txt"
    commands = (part for command in example.commands.items() for part in command)
    inputs = (base, requirements.read_bytes(), _PACKAGES, _COMMAND, *commands, *example.unused, *example.also)
    tag = f"harness-test/example-packages:{digest(*inputs)}"
    if not present(tag):
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            _site(context / "site", example)
            shutil.copy(requirements, context)
            (context / "bin").mkdir()
            for name, call in example.commands.items():
                (context / "bin" / name).write_text(_COMMAND.format(call=call), encoding="utf-8")
                (context / "bin" / name).chmod(0o755)
            build(_PACKAGES.format(base=base), context, tag)
    return tag


def servers_image() -> str:
    """Return the tag of one image with PostgreSQL, Redis, rclone, Prometheus and Alertmanager; build it if missing."""
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


def _site(folder: Path, example: Example) -> None:
    """Install the packages for the image's Python, without the unused ones."""
    options = ["--quiet", "--only-binary=:all:", "--python-version", "3.11", "--target", str(folder)]
    wanted = ["-r", str(example.folder / "requirements.txt"), *example.also]
    run_command(sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *options, *wanted)
    for name in example.unused:
        shutil.rmtree(folder / name)
    for tests in sorted(folder.rglob("tests")):
        shutil.rmtree(tests, ignore_errors=True)


if __name__ == "__main__":
    chosen = {example.name: example for example in EXAMPLES}
    for name, value in chosen[sys.argv[1]].variables().items():
        print(f"{name}={value}")
