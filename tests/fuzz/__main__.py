"""A long run by command; findings are printed as hex, and ``--once HEX`` looks at one again."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.fuzzer import KEPT, Finding, fuzz, memory_kept, probe
from tests.fuzz.targets import TARGETS


def main() -> int:
    """0: nothing found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together (default 60)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run (default: the time)")
    parser.add_argument("--once", metavar="HEX", help="this input only, for every target named")
    args = parser.parse_args()
    names = args.targets or list(TARGETS)
    if args.once is not None:
        return _report([found for name in names if (found := probe(TARGETS[name], bytes.fromhex(args.once)))])
    findings: list[Finding] = []
    for name in names:
        count, found = fuzz(name, seed=args.seed, seconds=args.seconds / len(names))
        kept = memory_kept(name, seed=args.seed, rounds=500)
        if kept > KEPT:  # what is made once, such as the profile of a household, is no leak
            kept = memory_kept(name, seed=args.seed + 1, rounds=500)
        findings += found
        if kept > KEPT:
            findings.append(Finding(name, b"", f"keeps {kept} octets"))
        print(f"{name:24} {count:9} inputs, {len(found)} findings, {kept / 1024:7.0f} kB kept")
    print(f"seed {args.seed}")
    return _report(findings)


def _report(findings: list[Finding]) -> int:
    for finding in findings[:50]:
        print(f"{finding.target}: {finding.what}: {finding.data.hex()}", file=sys.stderr)
    return 1 if findings else 0


sys.exit(main())
