"""A configuration that is tried out over MQTT: each failure has the reason that a page needs for its sentence."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta

import pytest

from dlms_mqtt.bridge.config.managed_meters import meter_id_of
from dlms_mqtt.bridge.config.seal import seal
from dlms_mqtt.simulator import KEYS, Faults, serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import house


@pytest.fixture
async def home(mosquitto, tmp_path):
    async with house(mosquitto, tmp_path, "", "management: true") as home:
        await home.until(lambda: "dlms_mqtt/bridge/main/info" in home.seen.latest)
        yield home


@contextlib.asynccontextmanager
async def meter_with(*faults, framing="wrapper"):
    """A household on TCP."""
    own = Faults()
    for fault in faults:
        own.add(fault)
    meter = household(1, faults=own)
    async with serve_tcp(meter, framing=framing, faults=own) as server:
        meter.port = server.port
        yield meter


async def tried(home, meter, secrets=None, *, verb="validate", named=None, **connection):
    """The error of the reply to meter/validate; {} for a good one."""
    key = home.seen.json("dlms_mqtt/bridge/main/info")["seal"]
    line, body = {"tcp": f"127.0.0.1:{meter.port}"}, named or {"meter": "new"}
    purpose = meter_id_of(body, "new"), line
    sealed = {name: seal(secret, key, os.urandom, *purpose) for name, secret in (secrets or {}).items()}
    config = {"connection": {**line, "timeout": "20s", "retries": 0, **sealed, **connection}}
    reply = await home.ask(f"bridge/main/request/meter/{verb}", {**body, "config": config})
    return reply.get("error", {})


def told(error):
    return error.get("code"), error.get("detail", {}).get("reason")


PASSWORD = {"password": "text:12345678"}
LOW = {"client": 32, "authentication": "low"}
CIPHERED = {"client": 1, "authentication": "gmac", "invocation_counter": 1, "system_title": "5453540000000007"}
RIGHT = {"encryption_key": f"hex:{KEYS.encryption.hex()}", "authentication_key": f"hex:{KEYS.authentication.hex()}"}
SWAPPED = {"encryption_key": RIGHT["authentication_key"], "authentication_key": RIGHT["encryption_key"]}


async def test_a_good_one(home):
    async with meter_with() as meter:
        assert await tried(home, meter, PASSWORD, **LOW) == {}
        assert await tried(home, meter, RIGHT, **CIPHERED) == {}


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
async def test_silence_where_the_line_carries_a_meter_is_a_wrong_address(home, framing):
    async with meter_with(framing=framing) as meter:
        error = await tried(home, meter, PASSWORD, **LOW, server=17, framing=framing, timeout="2s")
    assert told(error) == ("no-answer", "wrong-address")
    assert "at server address 1, but not at 17" in error["message"]
    assert not meter.failures  # no password went anywhere


@pytest.mark.parametrize(
    ("faults", "reason"), [(["silence"], None), (["echo", "silence"], "echo")], ids=["silence", "echo"]
)
async def test_silence_and_echo(home, faults, reason):
    async with meter_with(*faults, framing="hdlc") as meter:
        assert told(await tried(home, meter, PASSWORD, **LOW, framing="hdlc", timeout="1s")) == ("no-answer", reason)
        assert told(await tried(home, meter, framing="hdlc", timeout="1s")) == (
            "no-answer",
            reason,
        )  # as common as can be


async def test_the_same_wrong_password_is_not_sent_twice(home):
    wrong = {"password": "text:00000000"}
    async with meter_with() as meter:
        assert told(await tried(home, meter, wrong, **LOW)) == ("authentication-refused", None)
        error = await tried(home, meter, wrong, **LOW)
        assert told(error) == ("locked-out", None)
        until = datetime.fromisoformat(error["detail"]["until"])
        assert timedelta(minutes=10) < until - datetime.now(UTC) < timedelta(minutes=20)
        assert meter.failures == {32: 1}
        assert await tried(home, meter, PASSWORD, **LOW) == {}  # another one is another matter


async def test_nor_is_it_where_each_request_has_an_id_of_its_own(home):
    wrong = {"password": "text:00000000"}
    async with meter_with() as meter:
        for number, code in enumerate(("authentication-refused", "locked-out")):
            error = await tried(home, meter, wrong, verb="objects", named={"id": f"Request {number}"}, **LOW)
            assert told(error) == (code, None)
        assert meter.failures == {32: 1}


async def test_nor_is_it_under_ever_new_names(home):
    wrong = {"password": "text:00000000"}
    async with meter_with() as meter:
        for name, code in (("a", "authentication-refused"), ("b", "locked-out"), ("c", "locked-out")):
            assert told(await tried(home, meter, wrong, named={"meter": name}, **LOW)) == (code, None)
        other = await tried(home, meter, wrong, named={"meter": "d"}, client=40, authentication="low")
        assert told(other) == ("locked-out", None), "a field that is no secret makes no other password of it"
        assert meter.failures == {32: 1}


async def test_settings_that_have_worked_are_not_locked_by_the_same_password_of_others(home):
    async with meter_with() as meter:
        assert await tried(home, meter, PASSWORD, named={"meter": "a"}, **LOW) == {}
        error = await tried(home, meter, PASSWORD, named={"meter": "b"}, client=33, authentication="low")
        assert told(error) == ("authentication-refused", None)
        assert await tried(home, meter, PASSWORD, named={"meter": "a"}, **LOW) == {}


async def test_silence_to_one_client_alone_is_about_that_client(home):
    """Nothing tells an unknown client from a secret that the meter does not answer."""
    async with meter_with("counter-refused:silence") as meter:
        error = await tried(home, meter, RIGHT, **CIPHERED, timeout="2s")
    assert told(error) == ("no-answer", "wrong-client")
    assert "not client 1" in error["message"]


async def test_silence_after_the_association_stood_is_not_about_the_client(home):
    async with meter_with("silence,after=1") as meter:
        assert told(await tried(home, meter, PASSWORD, **LOW, timeout="2s")) == ("no-answer", None)


async def test_keys_and_counters(home):
    async with meter_with("counter-refused:untold") as meter:
        assert told(await tried(home, meter, RIGHT, **CIPHERED)) == ("security-error", "counter")
    async with meter_with() as meter:
        assert told(await tried(home, meter, SWAPPED, **CIPHERED)) == ("security-error", "key")
