"""Published octets, changed at random: what a parser says to them, how long it takes and how much memory it keeps."""

from __future__ import annotations

import gc
import logging
import time
import tracemalloc
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, NamedTuple

from dlms_mqtt.errors import DlmsMqttError
from tests.frames_data import FRAMES, entries
from tests.fuzz.targets import TARGETS, Target

SLOW = 5.0  # s for one input of at most MAX_LENGTH octets; what needs most is a whole load profile: 0.4, traced 1.2
MAX_LENGTH = 1 << 14
KEPT = 4 << 20  # octets that may stay in memory after thousands of inputs

# Octets on which lengths, tags and frames turn.
_TELLING = bytes((0x00, 0x01, 0x02, 0x09, 0x0F, 0x13, 0x7E, 0x7F, 0x80, 0x81, 0x82, 0x84, 0x88, 0xA0, 0xA8, 0xFF))


class Finding(NamedTuple):
    """An input that a parser did not bear."""

    target: str
    data: bytes
    what: str


@cache
def seeds() -> tuple[bytes, ...]:
    """Every run of octets in the published frames: each parser also meets what is not meant for it."""
    found: set[bytes] = {b"", b"/KAM5\\2MODE\r\n", b"/?!\r\n", b"\x06252\r\n"}
    for file in sorted(path.stem for path in FRAMES.glob("*.yaml")):
        for entry in entries(file):
            found.update(_octets(entry))
    whole = sorted(item for item in found if len(item) <= MAX_LENGTH)
    assert len(whole) > 300, "the frames are there"
    return tuple(whole)


def _octets(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _octets(item)
    elif isinstance(value, str) and len(value) >= 2 and len(value) % 2 == 0:
        try:
            yield bytes.fromhex(value)
        except ValueError:
            return


def mutated(random: Random, pool: tuple[bytes, ...]) -> bytes:
    """One input: a seed with a few changes, or two of them joined, or noise."""
    data = bytearray(random.choice(pool))
    for _ in range(random.choice((0, 1, 1, 2, 4, 16))):
        _change(random, data, pool)
    return bytes(data[:MAX_LENGTH])


def _change(random: Random, data: bytearray, pool: tuple[bytes, ...]) -> None:
    at = random.randrange(len(data) + 1)
    match random.randrange(8):
        case 0 if at < len(data):
            data[at] ^= 1 << random.randrange(8)
        case 1 if at < len(data):
            data[at] = random.choice(_TELLING)
        case 2:
            data[at:at] = random.randbytes(random.randrange(1, 9))
        case 3:
            del data[at : at + random.randrange(1, 20)]
        case 4:
            del data[at:]
        case 5:
            data += random.choice(pool)
        case 6:
            data[at:at] = data[at : at + random.randrange(1, 64)] * random.choice((1, 2, 50))
        case _:
            other = random.choice(pool)
            data[at:] = other[random.randrange(len(other) + 1) :]


def probe(target: Target, data: bytes) -> Finding | None:
    """What is wrong with how the parser takes this input; None: nothing."""
    logging.disable()  # what is dropped is warned of, thousands of times
    began = time.thread_time()  # of the processor: a busy machine is no slow parser
    try:
        target.run(data)
    except DlmsMqttError:
        pass
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Finding(target.name, data, f"{type(error).__name__}: {error}")
    finally:
        logging.disable(logging.NOTSET)
    took = time.thread_time() - began
    return Finding(target.name, data, f"took {took:.1f} s") if took > SLOW else None


def fuzz(name: str, *, seed: int, rounds: int = 0, seconds: float = 0.0) -> tuple[int, list[Finding]]:
    """So many rounds, or so many seconds; how many inputs there were, and the findings (the memory kept is one)."""
    target, random, findings = TARGETS[name], Random(f"{name}/{seed}"), list[Finding]()
    pool = seeds()
    return _rounds(target, random, pool, rounds, seconds, findings), findings


def _rounds(
    target: Target, random: Random, pool: tuple[bytes, ...], rounds: int, seconds: float, findings: list[Finding]
) -> int:
    end = time.monotonic() + seconds
    count = 0
    while count < rounds or time.monotonic() < end:
        finding = probe(target, mutated(random, pool))
        if finding is not None:
            findings.append(finding)
        count += 1
    return count


def memory_kept(name: str, *, seed: int, rounds: int) -> int:
    """Octets that are still held after so many inputs, when a first few have filled the caches.

    A simulated meter is a circle of objects (4 MB of them wait for the collector): what it would free is not kept.
    """
    fuzz(name, seed=seed, rounds=50)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        fuzz(name, seed=seed + 1, rounds=rounds)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
