"""Line seconds that the finder needs: random mixtures in memory on a fake clock, told nothing but the port (--go-on).

``python benchmarks/find.py [SEEDS [FIRST]]``: median and worst, and the real time of one search.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from dlms_mqtt.meter.finder import Found, Limits, find
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import on_line
from tests.meter.finder_mixtures import Mixture, mixture


def search(made: Mixture) -> Found:
    """One search on a clock of its own."""
    clock = FakeClock()

    async def run() -> Found:
        async with on_line(made.bench, clock, **made.path) as (open_line, _):
            return await find({"serial": "bench"}, open_line=open_line, limits=Limits(seconds=1200, go_on=True))

    return clock.run(run())


def main() -> None:
    """Print a line per seed and the sums."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began, seconds, lost = time.perf_counter(), [], []
    for seed in range(first, first + count):
        made = mixture(seed)
        found = search(made)
        seconds.append(found.seconds)
        if not found.complete or made.bench.passwords:
            lost.append(seed)
        print(f"seed {seed:4}  {'found' if found.complete else 'LOST '}  {found.seconds:7.1f} s  {made.words}")
    real = (time.perf_counter() - began) / count
    print(
        f"{count} mixtures: median {median(seconds):.1f} s, worst {max(seconds):.1f} s of line time; not found: {lost}"
    )
    print(f"real time of one search: {real * 1000:.0f} ms")


if __name__ == "__main__":
    main()
