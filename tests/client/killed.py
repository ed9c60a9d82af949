"""Run by test_store.py as a program of its own: processes that use counters of one store until they are killed.

Usage: killed.py STATE_FILE USED_FILE ROUNDS SEED. Every number goes to USED_FILE, unbuffered, before and after its use.
"""

from __future__ import annotations

import os
import random
import select
import signal
import struct
import sys

from dlms_mqtt.client.state.store import Store

KEYS = (b"one-key-16-octet", b"two-key-16-octet")
TITLE = b"DMQ00001"
BLOCK = 3
RECORD = struct.Struct(">BBI")


def use(state: str, used: int) -> None:
    """Takes numbers for ever."""
    store = Store(state, block=BLOCK)
    while True:
        for index, key in enumerate(KEYS):
            counter = store.counter(key, TITLE)
            counter.refresh()
            number = counter.next()
            os.write(used, RECORD.pack(ord("<"), index, number))
            os.write(used, RECORD.pack(ord(">"), index, number))
        if number % 7 == 0:  # some processes end in an orderly way, and give back
            store.close()
            store = Store(state, block=BLOCK)


def start(state: str, used: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        use(state, used)
    finally:
        os._exit(9)
    raise AssertionError


def progress(used: int, records: int) -> None:
    """Wait until so much more was written: a busy machine must not kill every process before its first number."""
    wanted = os.fstat(used).st_size + records * RECORD.size
    while os.fstat(used).st_size < wanted:
        select.select([], [], [], 0.0005)


def main(state: str, path: str, rounds: int, seed: int) -> None:
    used = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    chance = random.Random(seed)
    running = [start(state, used), start(state, used)]
    for _ in range(rounds):
        progress(used, chance.randrange(0, 12))
        select.select([], [], [], chance.uniform(0, 0.004))
        victim = running.pop(0)
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        assert os.WIFSIGNALED(status), "the process ended by itself"
        running.append(start(state, used))
    for victim in running:
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
