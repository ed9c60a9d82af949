"""What strangers may write to the bridge, mutated: managed meters, requests, other bridges, stored facts.

Whatever comes ends in a result or in an error of ours. One seed is fixed; another is new each time and stands in the
message of what failed: ``ODD_INPUTS_SEED=N`` repeats it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.api.topics import Address, Topics
from dlms_mqtt.bridge.config import managed_meters, manual
from dlms_mqtt.bridge.config.kinds import TOPIC
from dlms_mqtt.bridge.config.load import parse_meter
from dlms_mqtt.bridge.config.seal import SealKey
from dlms_mqtt.bridge.config.sections.bridge import Discovery
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.meters.lockout import Lockout
from dlms_mqtt.bridge.meters.output.context import Context
from dlms_mqtt.bridge.meters.output.counter_watch import CounterWatch
from dlms_mqtt.bridge.presence.device_ids import device_tag
from dlms_mqtt.bridge.presence.ghosts import ghosts
from dlms_mqtt.bridge.presence.id_claims import Claims
from dlms_mqtt.bridge.presence.leftovers import Leftovers
from dlms_mqtt.bridge.requests.arguments import moment_in, reference_in, selections_in
from dlms_mqtt.bridge.requests.bounds import check
from dlms_mqtt.bridge.requests.dispatcher import Request, parse
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import DlmsMqttError
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.transport.clock import Clock

ROUNDS = {"fixed": 400, "fresh": 60}
SEEDS = {"fixed": 13, "fresh": int(os.environ.get("ODD_INPUTS_SEED") or time.time_ns() // 1000)}
NOW = datetime(2026, 11, 29, tzinfo=UTC)
TEXTS = (
    "",
    "x",
    "1.0.1.8.0.255",
    "1-0:1.8.0*255",
    "0",
    "-1",
    "1e999",
    "NaN",
    "auto",
    "low",
    "hex:00",
    "text:a",
    "sealed:AAAA",
    "env:HOME",
    "file:/etc/passwd",
    "udp://1",
    "tcp://0.0.0.0:0",
    "tcp://[::1]:5",
    "connection",
    "10s",
    "1000000000d",
    "1e308s",
    "-5s",
    "0.0000001s",
    "24:00",
    "12:60",
    "value*2",
    "value**9**9",
    "__import__('os')",
    "(" * 200,
    "value" + "+value" * 3000,
    "/dev/ttyUSB0",
    "/dev/../etc/shadow",
    "socket://x:1",
    "loop://",
    "rfc2217://a:b",
    "../generic",
    "Europe/Vienna",
    "../../etc/passwd",
    "\0",
    "\ud800",
    "é" * 50,
    "a" * 70_000,
    "9999-12-31T23:59:59+00:00",
    "0001-01-01",
    "2026-02-30",
    "20261129T000000Z",
    "now",
    "24h",
)
NUMBERS = (0, 1, -1, 2, 16, 127, 255, 256, 65535, 65536, 2**31, 2**32, 2**64, 10**18, -(10**18), 10**300)
DECIMALS = tuple(map(Decimal, ("1.5", "-0", "1e-300", "1e300", "0.1")))
METER = {
    "connection": {"tcp": "127.0.0.1:4059", "client": 32, "authentication": "low"},
    "every": "10s",
    "read": {"set": "core", "also": [{"obis": "1.0.1.8.0.255", "transform": "value/2"}], "except": ["power"]},
    "profiles": [{"obis": "1.0.99.1.0.255", "every": "1h", "backfill": "1d"}],
    "push": {"listen": "tcp://0.0.0.0:4059", "match": {"host": "192.0.2.4"}, "ask": True},
    "clock": {"sync": True},
    "supply": {"phases": 3, "amperes": 63},
    "derive": {"half": {"expression": "energy_import / 2"}},
    "preset": "generic",
    "timezone": "Europe/Vienna",
    "actions": {"a": {"obis": "0.0.96.3.10.255", "method": 1}},
}
INFO = {"api": 1, "bridge": "x", "started": "2025", "meters": [{"id": "a", "managed": True}], "data": {"started": "1"}}
GUARD = {"identity": {"serial": "1"}, "change": None, "good": {"energy_import": ["1.5", 17.0]}, "most": {"power": "3"}}

FORMER = {"name": ["b", "x"], "meters": ["a", "b"], "announced": "homeassistant", "style": "device", "devices": "d-b"}


def _names(node: Any) -> set[str]:
    """Every key of the configuration."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = set(node["properties"]) if isinstance(node, dict) and isinstance(node.get("properties"), dict) else set()
    return own.union(*map(_names, inner))


KEYS = sorted(_names(manual.schema()))


class Odd:
    """Mutates; the same seed does the same."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def value(self, depth: int = 0) -> Any:
        random = self.random
        kind = random.randrange(12 if depth < 4 else 9)
        if kind < 9:
            return random.choice(((None, True, False), NUMBERS, DECIMALS, TEXTS, TEXTS)[kind % 5])
        if kind < 11:
            return [self.value(depth + 1) for _ in range(random.randrange(4))]
        return {random.choice(KEYS): self.value(depth + 1) for _ in range(random.randrange(6))}

    def mutated(self, value: Any, share: float = 0.12) -> Any:
        random = self.random
        if random.random() < share:
            return self.value()
        if isinstance(value, dict):
            found = {key: self.mutated(inner, share) for key, inner in value.items() if random.random() > 0.05}
            return found | ({random.choice(KEYS): self.value()} if random.random() < 0.15 else {})
        return [self.mutated(inner, share) for inner in value] if isinstance(value, list) else value


def managed(odd: Odd) -> None:
    config = managed_meters.remote_config(odd.mutated(METER), SealKey(bytes(range(32))), "m")
    stored = odd.mutated(METER)
    parse_meter("m", managed_meters.completed(config, stored if isinstance(stored, dict) else {}), preset_connection)


def request(odd: Odd) -> None:
    fields = (
        "from",
        "to",
        "first",
        "count",
        "obis",
        "key",
        "items",
        "keys",
        "value",
        "timeout",
        "minutes",
        "set",
        "line",
    )
    body = {key: odd.value(3) for key in odd.random.sample(fields, odd.random.randrange(1, 5))}
    check(body)
    selections_in(Request(Address("m", "request", "profile"), body), NOW)


def reference(odd: Odd) -> None:
    reference_in(odd.value(), "attribute")


def moment(odd: Odd) -> None:
    moment_in(odd.value(), NOW)


def message(odd: Odd) -> None:
    octets = bytes(odd.random.choice(b'{}[]",:0123456789eE+-. \\u"idvalue') for _ in range(odd.random.randrange(60)))
    parse(Address("m", odd.random.choice(("set", "do", "request")), "read"), octets, lambda *_: None)


def other_bridges(odd: Odd) -> None:
    claims = Claims(Topics("dlms_mqtt", "main"), "2026", None)  # type: ignore[arg-type]
    octets = dumps(odd.mutated(INFO, 0.2)).encode(errors="replace")
    for topic in ("other/info", "main/info", "main/response/ping", "/info", "other/state"):
        claims.seen(f"dlms_mqtt/bridge/{topic}", octets)
    claims.rival_started(), claims.contested(["a", "m"]), claims.announced_as_ours(())
    ghosts(
        {"dlms_mqtt/bridge/other/info": octets.decode(), "dlms_mqtt/meter/a/state": "..."},
        Topics("dlms_mqtt", "main"),
        (),
    )


def facts(odd: Odd) -> None:
    Lockout.restore(odd.mutated({"settings": "x", "refusals": 1, "until": 5.0, "worked": "x"}, 0.2), "x").left(1e9)
    with Store() as store:
        store.set("guard", "m", _plain(odd.mutated(GUARD, 0.2)))
        CounterWatch("m", Meter(), store, Clock())


class _Broker:
    """Takes what can be sent, as a line does."""

    clearing = False

    def retain(self, topic: str, payload: str, lifetime: float | None = None) -> None:
        assert TOPIC.convert(topic)


def left_behind(odd: Odd) -> None:
    with Store() as store:
        for what, usual in FORMER.items():
            store.set("bridge", what, _plain(odd.mutated(usual, 0.5)))
        topics = Topics("dlms_mqtt", "main", "ha", device_tag("dlms_mqtt", store))
        broker: Any = _Broker()
        context = Context(topics, Discovery(prefix="ha"), broker, store, Clock(), "1")
        leftovers = Leftovers(Config(), context, broker)
        leftovers.clear(), leftovers.remember(["a"]), leftovers.settle(["a"])
        assert TOPIC.convert(leftovers.base)
        broker.retain(topics.discovery(topics.device("a")), "")


def _plain(value: Any) -> Any:
    """As the store keeps it."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "attempt",
    [managed, request, reference, moment, message, other_bridges, facts, left_behind],
    ids=lambda attempt: attempt.__name__,
)
def test_whatever_comes_ends_in_a_result_or_an_error_of_ours(
    attempt: Callable[[Odd], None], seed: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="dlms_mqtt.bridge"):  # odd facts are told, and are many here
        for number in range(ROUNDS[seed]):
            _try(attempt, SEEDS[seed] + number)


def _try(attempt: Callable[[Odd], None], seed: int) -> None:
    began = time.thread_time()
    try:
        attempt(Odd(seed))
    except DlmsMqttError:
        pass
    except Exception as error:
        raise AssertionError(f"ODD_INPUTS_SEED={seed}: {error!r}") from error
    assert time.thread_time() - began < 5, f"ODD_INPUTS_SEED={seed} takes too long"
