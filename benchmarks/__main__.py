"""`python -m benchmarks [--quick]`: every part, one after the other. The fault proxy's own are in benchmarks.proxy, and
`benchmarks.busy`, which keeps the machine busy for more than an hour, is run by itself, and so is `benchmarks.shares`.

Exits 1 where a part found something wrong, 4 where one could not measure; the others are measured all the same.
"""

import sys

from benchmarks import backends, chaostoolkit, compose, cost, demo, flakes, judging, side_by_side, starts, timing
from benchmarks.results import FILE, Options, Part, options_parser, run_part

PARTS: dict[str, Part] = {
    "starts": starts.measure,
    "demo": demo.measure,
    "timing": timing.measure,
    "side_by_side": side_by_side.measure,
    "chaostoolkit": chaostoolkit.measure,
    "judging": judging.measure,
    "cost": cost.measure,
    "flakes": flakes.measure,
    "compose": compose.measure,
    "backends": backends.measure,
}


def main() -> int:
    """Run them all."""
    given = options_parser("").parse_args()
    options = Options(given.quick, given.out)
    codes = [run_part(name, part, options) for name, part in PARTS.items()]
    print(f"\nfigures: {given.out / FILE}")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
