"""Compares dlms-mqtt with gurux-dlms, dlms-cosem and pydlms-client, all in one run on this machine.

    python -m benchmarks                    everything (about six minutes)
    python -m benchmarks decoding reading   only these sections

Sections: decoding (the same bytes), reading (the same small fast meter over loopback TCP, wrapper and HDLC), ciphered
(CPU of protected GETs), imports (time and memory of a fresh interpreter), line (9600 baud on a pseudo-terminal), bridge
(many meters through one process; needs Mosquitto).
Contenders take turns; the best of several rounds counts. In brackets stands the ratio to the best other one: above 1
means that this one is better. Absolute figures hold for this machine and this hour only.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys

SECTIONS = {
    "decoding": "the same bytes decoded",
    "reading": "the same fast meter read over loopback TCP",
    "ciphered": "CPU of ciphered GETs",
    "imports": "a fresh interpreter",
    "line": "a paced line of 9600 baud",
    "find": "finding an unknown meter",
    "library": "six everyday tasks as a program has them, and 1,000 meters read once",
    "bridge": "the bridge: 200 meters on one core, and one beside paho-mqtt and pyserial",
}


def main() -> int:
    """Run the sections named on the command line, or all."""
    there = [name for name in SECTIONS if importlib.util.find_spec(f"benchmarks.{name}")]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(there)} (default: all)")
    wanted = parser.parse_args().sections or there
    unknown = [name for name in wanted if name not in there]
    if unknown:
        parser.error(f"there is no section {', '.join(unknown)}; there are {', '.join(there)}")
    for name in wanted:
        print(f"\n== {name}: {SECTIONS[name]}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
