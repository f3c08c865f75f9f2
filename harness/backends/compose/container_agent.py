"""Tasks that only root on the engine's machine can do for a container: a program of its own, with the standard library.

It is run by `container_host` either beside the harness or, where the engine is elsewhere, in a helper container that
sees that machine's processes; hence it imports nothing of the harness. One JSON request as its argument, one JSON
answer on standard output: `{"task": name, "pid": main process, "container": id, …}`. `TASKS` at the end lists them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import ipaddress
import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
CGROUP = Path("/sys/fs/cgroup")
MS_REMOUNT, MS_BIND, MS_RDONLY, MS_RELATIME = 32, 4096, 1, 1 << 21
KEPT_FLAGS = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: MS_RELATIME}  # of statvfs, as mount(2) knows them
BLOCK = 1 << 16
DISCARD_PORT = 9
V1_UNLIMITED = 1 << 62


class TaskError(Exception):
    """What went wrong, and what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


# --- where things are -----------------------------------------------------------------------------------------------


def belongs(pid: int, container: str) -> bool:
    """Whether a process is one of a container, by its control group."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def enter(pid: int, namespace: str) -> None:
    """Go into a namespace of a process, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/{namespace}").open("rb") as handle:
        if libc.setns(handle.fileno(), 0) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"the {namespace} namespace of process {pid}: {os.strerror(code)}")


def group(pid: int, controller: str) -> tuple[Path, int]:
    """Return a control group's directory and whether it is of version 1 or 2. Raises TaskError."""
    unified = None
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            for mounted in (controller, names):
                found = CGROUP / mounted / path.lstrip("/")
                if found.is_dir():
                    return found, 1
        if not names:
            unified = CGROUP / path.lstrip("/")
    if unified is not None and (CGROUP / "cgroup.controllers").exists() and unified.is_dir():
        return unified, 2
    raise TaskError(f"the control group {controller!r} of process {pid} cannot be found under {CGROUP}")


def numbers(path: Path) -> dict[str, int]:
    """Read a file of names and numbers."""
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def mount_of(pid: int, path: str) -> tuple[str, str, str]:
    """Return the mount point that a path lies on, its device and its file system, by the kernel's table."""
    best = ("", "", "")
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        device, point = fields.split()[2], _unescaped(fields.split()[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, device, rest.split()[0])
    return best


def _unescaped(text: str) -> str:
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text


# --- processes ------------------------------------------------------------------------------------------------------


def send_signal(pid: int, container: str, number: int) -> Answer:
    """Signal the main process, from outside of its namespace. It cannot hit another that has its number by now."""
    handle = os.pidfd_open(pid)
    try:
        if not belongs(pid, container):
            raise TaskError(f"process {pid} is none of the container's any more")
        signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)
    return {}


def process(pid: int, names: list[str], maps: str = "") -> Answer:
    """Tell of the main process: state letter, signals that it catches, variables it was started with, libraries."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )  # fmt: skip
    caught = int(status["SigCgt"].strip(), 16)
    started_with = Path(f"/proc/{pid}/environ").read_text("utf-8", "replace").split("\0")
    environment = dict(part.split("=", 1) for part in started_with if "=" in part)
    return {
        "state": status["State"].split()[0],
        "catches": [number for number in range(1, 65) if caught >> (number - 1) & 1],
        "environment": {name: environment.get(name) for name in names},
        "maps": bool(maps) and maps in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace"),
    }


def frozen(pid: int) -> Answer:
    """Tell whether the kernel has frozen the container's processes."""
    folder, version = group(pid, "freezer")
    if version == 1:
        return {"frozen": (folder / "freezer.state").read_text().strip() == "FROZEN"}
    return {"frozen": numbers(folder / "cgroup.events").get("frozen") == 1}


def oom_log(container: str) -> Answer:
    """Return the lines of the kernel's log about memory kills in a container, each with its number."""
    found = []
    handle = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                line = os.read(handle, 8192).decode("utf-8", "replace")
            except BlockingIOError:
                break
            except BrokenPipeError:  # the oldest lines were overwritten meanwhile
                continue
            if "oom-kill:" in line and container in line:
                found.append(line.split(";", 1)[1].splitlines()[0])
    finally:
        os.close(handle)
    return {"kills": len(found), "last": found[-1] if found else None}


def clock() -> Answer:
    """Tell the time on the engine's machine, in seconds since 1970."""
    return {"at_s": time.time()}


# --- processor and memory -------------------------------------------------------------------------------------------


def cpu(pid: int) -> Answer:
    """Tell the container's processor quota (-1: none) and how often it ran into it."""
    folder, version = group(pid, "cpu")
    stat = numbers(folder / "cpu.stat")
    if version == 1:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    else:
        first, second = (folder / "cpu.max").read_text().split()
        quota, period = (-1 if first == "max" else int(first)), int(second)
    return {"quota_us": quota, "period_us": period, "throttled": stat.get("nr_throttled", 0)}


def limit_cpu(pid: int, quota_us: int, period_us: int) -> Answer:
    """Set the quota; -1 for none."""
    folder, version = group(pid, "cpu")
    if version == 1:
        # A quota above what the period allows is refused on the way from one pair to the other.
        (folder / "cpu.cfs_quota_us").write_text("-1")
        (folder / "cpu.cfs_period_us").write_text(str(period_us))
        (folder / "cpu.cfs_quota_us").write_text(str(quota_us))
    else:
        (folder / "cpu.max").write_text(f"{'max' if quota_us < 0 else quota_us} {period_us}")
    return {}


def use_cpu(pid: int, within_s: float) -> Answer:
    """Run a process inside the container's quota until the kernel has throttled it once, or the time is over."""
    folder, _ = group(pid, "cpu")
    before = numbers(folder / "cpu.stat").get("nr_throttled", 0)
    child = _joined(folder, _spin)
    try:
        _until(lambda: numbers(folder / "cpu.stat").get("nr_throttled", 0) > before, within_s)
    finally:
        _ended(child)
    return {"throttled": numbers(folder / "cpu.stat").get("nr_throttled", 0) - before}


def memory(pid: int) -> Answer:
    """Tell the container's memory limit (-1: none), what is used, and how many processes the kernel killed for it."""
    folder, version = group(pid, "memory")
    if version == 1:
        limit = int((folder / "memory.limit_in_bytes").read_text())
        return {
            "limit": -1 if limit >= V1_UNLIMITED else limit,
            "used": int((folder / "memory.usage_in_bytes").read_text()),
            "kills": numbers(folder / "memory.oom_control").get("oom_kill", 0),
        }
    text = (folder / "memory.max").read_text().strip()
    return {
        "limit": -1 if text == "max" else int(text),
        "used": int((folder / "memory.current").read_text()),
        "kills": numbers(folder / "memory.events").get("oom_kill", 0),
    }


def limit_memory(pid: int, limit: int) -> Answer:
    """Set the limit in bytes; -1 for none. Version 1 refuses one below what is used."""
    folder, version = group(pid, "memory")
    names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] if version == 1 else ["memory.max"]
    names = [name for name in names if (folder / name).exists()]
    try:
        # Memory and swap may never be below memory: the order depends on the way.
        for name in reversed(names) if limit < 0 else names:
            (folder / name).write_text("max" if limit < 0 and version == 2 else str(limit))
    except OSError as error:
        return {"refused": errno.errorcode.get(error.errno or 0, "?")}
    return {}


def fill_memory(pid: int, within_s: float) -> Answer:
    """Fill the container's memory until the kernel kills one of its processes.

    The kernel takes the one that it finds worst. The filler would be that, and to exempt it takes a capability that
    root may lack; so the others are made worse meanwhile, all alike.
    """
    folder, version = group(pid, "memory")
    now, spare = memory(pid), _available()
    if now["limit"] < 0 or now["limit"] - now["used"] > 0.8 * spare:
        raise TaskError(f"filling memory up to {now['limit']} bytes would hurt the engine's machine, which has "
                        f"{spare} left", "give a lower limit")  # fmt: skip
    before = now["kills"]
    counter = folder / ("memory.oom_control" if version == 1 else "memory.events")

    def killed() -> bool:
        try:
            return numbers(counter).get("oom_kill", 0) > before or not belongs_here(pid, folder)
        except OSError:
            return True

    scores = {one: score for one in _members(folder) if (score := _worse(one)) is not None}
    child = _joined(folder, _allocate)
    try:
        _until(killed, within_s)
    finally:
        _ended(child)
        for one, score in scores.items():
            with contextlib.suppress(OSError):
                Path(f"/proc/{one}/oom_score_adj").write_text(str(score))
    return {"ended": killed()}


def _members(folder: Path) -> list[int]:
    return [int(one) for one in (folder / "cgroup.procs").read_text().split()]


def _worse(pid: int) -> int | None:
    """Let the kernel prefer a process when memory runs out; return its score before, None where it has ended."""
    place = Path(f"/proc/{pid}/oom_score_adj")
    try:
        before = int(place.read_text())
        place.write_text(str(min(1000, before + 1000)))
    except OSError:
        return None
    return before


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def belongs_here(pid: int, folder: Path) -> bool:
    """Whether a process is in a control group now."""
    return pid in _members(folder)


def _joined(folder: Path, work: Any) -> int:
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it must not outlive this program
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        work()
    finally:
        os._exit(1)


def _spin() -> None:
    while True:
        pass


def _allocate() -> None:
    taken = []
    while True:
        chunk = mmap.mmap(-1, 1 << 22, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, 1 << 22, mmap.PAGESIZE):
            chunk[offset] = 1
        taken.append(chunk)


def _until(condition: Any, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)


def _ended(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


# --- file systems ---------------------------------------------------------------------------------------------------


def _inside(pid: int, path: str) -> tuple[str, str, str, str]:
    """Go into the container's file system; return the real path and its mount."""
    table = Path(f"/proc/{pid}/mountinfo").read_text()
    enter(pid, "mnt")
    real = os.path.realpath(path)
    best = ("", "", "")
    for line in table.splitlines():
        fields, _, rest = line.partition(" - ")
        device, point = fields.split()[2], _unescaped(fields.split()[4])
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best[0]):
            best = (point, device, rest.split()[0])
    return (real, *best)


def space(pid: int, path: str) -> Answer:
    """Tell what is free where a path lies, and whose file system that is."""
    own = {device for name in ("/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
           for _, device, _ in [mount_of(pid, name)]} | {mount_of(1, "/")[1]}  # fmt: skip
    _, point, device, kind = _inside(pid, path)
    found = os.statvfs(path)
    return {
        "size": found.f_blocks * found.f_frsize,
        "free": found.f_bfree * found.f_frsize,
        "mount_point": point,
        "file_system": kind,
        "engines_own": device in own,
        "read_only": bool(found.f_flag & os.ST_RDONLY),
    }


def fill(pid: int, path: str, name: str, leave: int, at_most: int) -> Answer:
    """Grow a file of ours until only so many bytes are free, or it is as large as it may be."""
    _inside(pid, path)
    target = Path(path, name)
    handle = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    size, step = os.fstat(handle).st_size, 1 << 26
    try:
        while size < at_most and step >= BLOCK // 16:
            now = os.fstatvfs(handle)
            step = min(step, at_most - size, now.f_bfree * now.f_frsize - leave)
            if step <= 0:
                break
            try:
                os.posix_fallocate(handle, size, step)
                size += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2
    finally:
        os.close(handle)
    return {"bytes": size}


def remove(pid: int, path: str, name: str) -> Answer:
    """Remove a file of ours."""
    _inside(pid, path)
    with contextlib.suppress(FileNotFoundError):
        Path(path, name).unlink()
    return {}


def exists(pid: int, path: str, name: str) -> Answer:
    """Tell whether a file of ours is there."""
    _inside(pid, path)
    return {"exists": os.path.lexists(Path(path, name))}


def try_write(pid: int, path: str, name: str, size: int) -> Answer:
    """Write a small file and remove it; `refused` names what the kernel said against it."""
    _inside(pid, path)
    target = Path(path, name)
    written = 0
    try:
        handle = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            while written < size:
                written += os.write(handle, bytes(min(BLOCK, size - written)))
            os.fsync(handle)
        finally:
            os.close(handle)
            target.unlink()
    except OSError as error:
        return {"written": written, "refused": errno.errorcode.get(error.errno or 0, "?")}
    return {"written": written}


def remount(pid: int, path: str, read_only: bool) -> Answer:
    """Make a mount of the container read-only or not, for the container alone."""
    real, point, _, _ = _inside(pid, path)
    if real != point:
        raise TaskError(f"{path} is no mount of its own but lies on {point}", f"name {point}")
    now = os.statvfs(real).f_flag
    flags = MS_REMOUNT | MS_BIND | sum(ms for st, ms in KEPT_FLAGS.items() if now & st)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, real.encode(), None, flags | (MS_RDONLY if read_only else 0), None) != 0:
        return {"refused": errno.errorcode.get(ctypes.get_errno(), "?")}
    return {}


def digest(pid: int, path: str) -> Answer:
    """Tell the SHA-256 of a file as the container sees it; null where there is none."""
    enter(pid, "mnt")
    try:
        return {"sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
    except (FileNotFoundError, NotADirectoryError):
        return {"sha256": None}


def empty(path: str) -> Answer:
    """Remove all that is in a volume's directory. It is never told any other directory."""
    folder = _volume(path)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return {}


def entries(path: str) -> Answer:
    """Tell how many entries a volume's directory has."""
    return {"entries": sum(1 for _ in _volume(path).iterdir())}


def _volume(path: str) -> Path:
    folder = Path(path)
    if folder.name != "_data" or folder.resolve() != folder or not folder.is_dir():
        raise TaskError(f"{path} is no directory of a volume")
    return folder


# --- networks -------------------------------------------------------------------------------------------------------


def interfaces(pid: int) -> Answer:
    """Tell the container's network interfaces but the loopback."""
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
    """Tell the rules with a tag: how many packets each has dropped, by source."""
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


def knock(pid: int, addresses: list[str]) -> Answer:
    """Send a few datagrams to a port of each address where nobody listens; tell which machines said so."""
    enter(pid, "net")
    answers = {}
    for address in addresses:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as knocker:
            knocker.settimeout(0.1)
            answers[address] = "silent"
            try:
                knocker.connect((address, DISCARD_PORT))
                for _ in range(3):
                    knocker.send(b"harness")
                knocker.recv(1)
            except ConnectionRefusedError:
                answers[address] = "answers"
            except TimeoutError:
                pass
            except OSError as error:
                answers[address] = errno.errorcode.get(error.errno or 0, "?")
    return {"answers": answers}


TASKS: dict[str, Any] = {
    "signal": send_signal, "process": process, "frozen": frozen, "oom_log": oom_log, "clock": clock, "cpu": cpu,
    "limit_cpu": limit_cpu, "use_cpu": use_cpu, "memory": memory, "limit_memory": limit_memory,
    "fill_memory": fill_memory, "space": space, "fill": fill, "remove": remove, "exists": exists,
    "try_write": try_write, "remount": remount, "digest": digest, "empty": empty, "entries": entries,
    "interfaces": interfaces, "block": block, "unblock": unblock, "blocked": blocked, "knock": knock,
}  # fmt: skip
WITHOUT_A_PROCESS = ("oom_log", "clock", "empty", "entries")
NEEDS_THE_ID = ("signal", "oom_log")


def answer(request: Answer) -> Answer:
    """Do the task of a request."""
    name, pid, container = request.pop("task"), request.pop("pid"), request.pop("container")
    try:
        if name not in WITHOUT_A_PROCESS:
            if not belongs(pid, container):
                raise TaskError("the container's main process has ended meanwhile")
            request["pid"] = pid
        if name in NEEDS_THE_ID:
            request["container"] = container
        found: Answer = TASKS[name](**request)
        return found
    except TaskError as error:
        return {"error": str(error), "remedy": error.remedy}
    except OSError as error:
        remedy = "it takes root on the engine's machine" if error.errno in (errno.EPERM, errno.EACCES) else ""
        return {"error": f"{name}: {error}", "remedy": remedy}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was begun is put right
    print(json.dumps(answer(json.loads(sys.argv[1]))))
