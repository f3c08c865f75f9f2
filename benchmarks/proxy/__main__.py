"""`python -m benchmarks.proxy [--quick] [--json FILE]`: the table, ours beside Toxiproxy's, with ratios.

Everything is measured in one run, the arms in turns, and each figure is the median of its rounds.
"""

import argparse
import json
import resource
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.proxy import loads
from benchmarks.proxy.arms import Arm, started, toxiproxy_server


@dataclass(frozen=True)
class ProxyFigure:
    """One line of the table; a ratio is ours over theirs."""

    measure: str
    unit: str
    direct: float | None
    theirs: float
    ours: float
    ratio: float
    bound: str
    met: bool


@dataclass(frozen=True)
class Size:
    """How much to measure."""

    rounds: int
    bulk_bytes: int
    trips: int
    idle: tuple[int, ...]
    connects: int


QUICK = Size(rounds=3, bulk_bytes=1 << 30, trips=2000, idle=(1000,), connects=1000)
FULL = Size(rounds=7, bulk_bytes=2 << 30, trips=10000, idle=(1000, 9000), connects=3000)


def _medians(arms: list[Arm], rounds: int, measure: Callable[[Arm], float]) -> dict[str, float]:
    taken: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for number in range(rounds):
        for arm in arms if number % 2 else reversed(arms):
            taken[arm.name].append(measure(arm))
    return {name: statistics.median(values) for name, values in taken.items()}


def _line(measure: str, unit: str, got: dict[str, float], bound: str, direct: float | None = None) -> ProxyFigure:
    ratio = got["ours"] / got["theirs"] if got["theirs"] else float("inf")
    kind, _, limit = bound.partition(" ")
    met = ratio >= float(limit) if kind == "≥" else ratio <= float(limit)
    return ProxyFigure(measure, unit, direct, got["theirs"], got["ours"], ratio, bound, met)


def bulk(arms: list[Arm], size: Size) -> list[ProxyFigure]:
    lines = []
    cpu: dict[str, list[float]] = {arm.name: [] for arm in arms}
    with loads.far_end("sink") as sink:
        for connections in (1, 16):

            def through(arm: Arm, connections: int = connections) -> float:
                with arm.proxy(sink) as place:
                    before_s = arm.cpu_s()
                    rate = loads.bulk_gb_s(place, connections, size.bulk_bytes)
                    cpu[arm.name].append((arm.cpu_s() - before_s) / (size.bulk_bytes / 1e9))
                    return rate

            direct = statistics.median(loads.bulk_gb_s(sink, connections, size.bulk_bytes) for _ in range(3))
            got = _medians(arms, size.rounds, through)
            lines.append(
                _line(f"pass-through, {connections} connection{'s'[: connections > 1]}", "GB/s", got, "≥ 2", direct)
            )
        got = {name: statistics.median(values) for name, values in cpu.items()}
        lines.append(_line("CPU a gigabyte", "s", got, "≤ 0.5"))

        def delayed(arm: Arm) -> float:
            toxic = {"type": "latency", "stream": "upstream", "attributes": {"latency": 50}}
            with arm.proxy(sink, **toxic) as place:
                return loads.bulk_gb_s(place, 1, size.bulk_bytes // 2)

        lines.append(_line("throughput under 50 ms of latency", "GB/s", _medians(arms, size.rounds, delayed), "≥ 1"))
    return lines


def trips(arms: list[Arm], size: Size) -> list[ProxyFigure]:
    """The added round trip: in each round, each arm's time minus that without a proxy."""
    added: dict[tuple[str, float], list[float]] = {}
    bare: dict[float, list[float]] = {0.5: [], 0.99: []}
    with loads.on_one_core(), loads.far_end("echo") as echo:
        for number in range(size.rounds):
            direct = loads.round_trips_us(echo, size.trips)
            for arm in arms if number % 2 else reversed(arms):
                with arm.proxy(echo) as place:
                    times = loads.round_trips_us(place, size.trips)
                for share in bare:
                    added.setdefault((arm.name, share), []).append(loads.at(times, share) - loads.at(direct, share))
            for share, values in bare.items():
                values.append(loads.at(direct, share))
    lines = []
    for share, values in bare.items():
        got = {arm.name: statistics.median(added[arm.name, share]) for arm in arms}
        what = f"added round trip of 200 bytes, p{share * 100:.0f}"
        lines.append(_line(what, "µs", got, "≤ 0.5", statistics.median(values)))
    return lines


def others(arms: list[Arm], size: Size) -> list[ProxyFigure]:
    with loads.far_end("echo") as echo:

        def late(arm: Arm) -> float:
            with arm.proxy(echo, type="latency", attributes={"latency": 50}) as place:
                times = loads.round_trips_us(place, max(20, size.trips // 100))
                return loads.at(times, 0.99) / 1000 - 50

        def connects(arm: Arm) -> float:
            with arm.proxy(echo) as place:
                return loads.connects_per_s(place, size.connects)

        return [
            _line("error of 50 ms of latency, p99", "ms", _medians(arms, size.rounds, late), "≤ 1"),
            _line("new connections", "1/s", _medians(arms, size.rounds, connects), "≥ 1"),
        ]


def idle(size: Size) -> list[ProxyFigure]:
    lines = []
    with loads.far_end("echo") as echo:
        for count in size.idle:
            got, threads = {}, {}
            for name in ("theirs", "ours"):
                with started(name) as arm, arm.proxy(echo) as place:
                    before = arm.memory_bytes()
                    with loads.idle(place, count):
                        got[name] = (arm.memory_bytes() - before) / count / 1024
                        threads[name] = arm.threads()
            line = _line(f"memory a connection, {count} idle", "KiB", got, "≤ 0.1")
            lines.append(line)
            print(
                f"  threads with {count} idle connections: theirs {threads['theirs']}, ours {threads['ours']}",
                file=sys.stderr,
            )
    return lines


def table(lines: list[ProxyFigure]) -> str:
    rows = [("measure", "unit", "direct", "Toxiproxy 2.12", "ours", "ratio", "to reach", "")]
    for line in lines:
        direct = "" if line.direct is None else f"{line.direct:.2f}"
        rows.append(
            (
                line.measure,
                line.unit,
                direct,
                f"{line.theirs:.2f}",
                f"{line.ours:.2f}",
                f"{line.ratio:.2f}",
                line.bound,
                "yes" if line.met else "NO",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    out = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    out.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(out)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", type=Path, help="write the lines to a file too")
    parser.add_argument("--only", choices=("bulk", "trips", "others", "idle"), help="only one part")
    given = parser.parse_args()
    if toxiproxy_server() is None:
        print("Toxiproxy's server is missing: see docs/proxy.md for how to get it", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    size = QUICK if given.quick else FULL
    lines: list[ProxyFigure] = []
    with started("theirs") as theirs, started("ours") as ours:
        arms = [theirs, ours]
        for name, part in (("bulk", bulk), ("trips", trips), ("others", others)):
            if given.only in (None, name):
                lines += part(arms, size)
    if given.only in (None, "idle"):
        lines += idle(size)
    print(table(lines))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    return 0 if all(line.met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
