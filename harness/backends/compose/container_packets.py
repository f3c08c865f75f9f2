"""Tasks of `container_agent` about networks: interfaces, packets that are dropped on arrival, and port probing."""

from __future__ import annotations

import errno
import ipaddress
import socket
import subprocess
from pathlib import Path

from harness.backends.compose.container_common import Answer, TaskError, enter

DISCARD_PORT = 9


def interfaces(pid: int) -> Answer:
    """Return the container's network interfaces but the loopback."""
    lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    return {"interfaces": sorted({line.split(":")[0].strip() for line in lines} - {"lo"})}


def block(pid: int, sources: list[str], tag: str) -> Answer:
    """Drop what comes in from some addresses, by rules that carry a tag."""
    there = blocked(pid, tag)["packets"]
    for source in sources:
        if source not in there:
            _tables(_program(source), "-I", "INPUT", "-s", source, "-m", "comment", "--comment", tag, "-j", "DROP")
    return {}


def unblock(pid: int, tag: str) -> Answer:
    """Take the rules with a tag away."""
    for source in blocked(pid, tag)["packets"]:
        _tables(_program(source), "-D", "INPUT", "-s", source, "-m", "comment", "--comment", tag, "-j", "DROP")
    return {}


def blocked(pid: int, tag: str) -> Answer:
    """Return the rules with a tag: how many packets each has dropped, by source."""
    enter(pid, "net")
    found: dict[str, int] = {}
    for program in ("iptables", "ip6tables"):
        for line in _tables(program, "-nvxL", "INPUT").splitlines():
            fields = line.split()
            if f"/* {tag} */" in line and "DROP" in fields:
                source = next(field for field in fields[fields.index("DROP") :] if _is_host(field))
                found[source.partition("/")[0]] = int(fields[0])
    return {"packets": found}


def _is_host(text: str) -> bool:
    try:
        return ipaddress.ip_network(text).num_addresses == 1
    except ValueError:
        return False


def _program(address: str) -> str:
    return "ip6tables" if ":" in address else "iptables"


def _tables(program: str, *words: str) -> str:
    # Without IPv6 there is nothing to list; where a rule of it is wanted, that is an error.
    optional = program == "ip6tables" and words[0] == "-nvxL"
    try:
        done = subprocess.run([program, "-w", "5", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        if optional:
            return ""
        remedy = "install it where the harness runs, or name an image with it and python3 by HARNESS_TOOLS_IMAGE"
        raise TaskError(f"the program {program} is not there", remedy) from None
    if done.returncode and optional:
        return ""
    if done.returncode:
        raise TaskError(f"{program} {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def probe_port(pid: int, addresses: list[str], packets: int) -> Answer:
    """Send a few datagrams to a port of each address where nobody listens; return which machines answered that."""
    enter(pid, "net")
    answers = {}
    for address in addresses:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0.1)
            answers[address] = "silent"
            try:
                sender.connect((address, DISCARD_PORT))
                for _ in range(packets):
                    sender.send(b"harness")
                sender.recv(1)
            except ConnectionRefusedError:
                answers[address] = "answers"
            except TimeoutError:
                pass
            except OSError as error:
                answers[address] = errno.errorcode.get(error.errno or 0, "?")
    return {"answers": answers}
