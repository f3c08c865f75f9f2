"""Installs what the tests of the fault proxy drive it with: Toxiproxy's server and cli, and other people's clients.

`python tests/proxy/clients/prepare.py [NAME …]` puts all of it, or what is named, under `.bin/` of the checkout and
`node_modules`. It needs Go, npm and pip; what is there already is left alone.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = HERE.parents[2] / ".bin"
TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/{}@v2.12.0"


def _go_install(command: str, name: str) -> None:
    if not (BIN / name).exists():
        subprocess.run(["go", "install", TOXIPROXY.format(command)], check=True, env={**os.environ, "GOBIN": str(BIN)})
        shutil.move(BIN / command, BIN / name)


def server() -> None:
    _go_install("server", "toxiproxy-server")


def cli() -> None:
    _go_install("cli", "toxiproxy-cli")


def go() -> None:
    subprocess.run(["go", "build", "-o", str(BIN / "go-client"), "."], check=True, cwd=HERE / "go")


def node() -> None:
    if not (HERE / "node" / "node_modules").exists():
        subprocess.run(["npm", "ci"], check=True, cwd=HERE / "node")


def chaostoolkit() -> None:
    """In a virtual environment of its own, for its pins are not ours."""
    home = BIN / "chaostoolkit"
    if not home.exists():
        venv.create(home, with_pip=True)
        requirements = str(HERE / "chaostoolkit" / "requirements.txt")
        subprocess.run([home / "bin" / "pip", "install", "-q", "-r", requirements], check=True)


ALL = {"server": server, "cli": cli, "go": go, "node": node, "chaostoolkit": chaostoolkit}


def main() -> None:
    BIN.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ALL:
        ALL[name]()
        print(f"{name}: ready")


if __name__ == "__main__":
    main()
