from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import LOGICAL_DEVICE_NAME, read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import ConfigError, MeterRefused
from dlms_mqtt.meter.dump import dump_session
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, read_frame
from dlms_mqtt.protocol.framing.seven_bit import strip_parity
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import HLS_SECRET, KEYS, PASSWORD, SignOnOptions, serve_memory
from dlms_mqtt.simulator.description import describe
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.replay.capture_file import Capture
from dlms_mqtt.simulator.replay.replay import replay_on, replay_tcp
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import memory_pair
from tests.cli.conftest import Cli
from tests.cli.test_find import meter
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Path as LinePath

ENERGY = AttributeDescriptor(3, Obis((1, 0, 1, 8, 0, 255)), 2)
LOAD_PROFILE = Obis((1, 0, 99, 1, 0, 255))
SALT = b"a salt"
SESSIONS: dict[str, dict[str, Any]] = {
    "public": {"client": 16},
    "low": {"client": 32, "authentication": "low", "password": PASSWORD},
    "ciphered": {
        "client": 1,
        "authentication": "gmac",
        "encryption_key": KEYS.encryption,
        "authentication_key": KEYS.authentication,
    },
    "md5": {"client": 35, "authentication": "md5", "password": HLS_SECRET},
    "short names": {"client": 17, "referencing": "sn"},
    "ciphered short names": {
        "client": 1,
        "referencing": "sn",
        "authentication": "gmac",
        "encryption_key": KEYS.encryption,
        "authentication_key": KEYS.authentication,
    },
}


async def dumped(framing: str, clock: FakeClock, *, echo: bool = False, **options: Any) -> tuple[dict[str, Any], Any]:
    meter = household(7, clock=clock)
    near, far = memory_pair()
    near.echo = echo
    settings = ConnectionSettings(serial="x", framing=framing, **options)
    async with serve_memory(meter, far, framing):
        document = await dump_session(settings, transport=near, salt=SALT, objects=12)
    return document, meter


@contextmanager
def replayed(path: Path) -> Iterator[int]:
    """`simulate --replay` in a thread."""
    ready, where, loop = threading.Event(), [], asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        server = await replay_tcp(Capture.load(path), "127.0.0.1", 0)
        where.append(server.sockets[0].getsockname()[1])
        ready.set()
        await ending.wait()
        server.close()
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield where[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
@pytest.mark.parametrize("session", SESSIONS)
async def test_nothing_in_it_names_or_opens_the_meter(clock: FakeClock, framing: str, session: str) -> None:
    options = SESSIONS[session]
    document, meter = await dumped(framing, clock, **options)
    assert "error" not in document["facts"], document["facts"]
    text = yaml.safe_dump(document)
    hidden = [meter.name.encode(), meter.name[-8:].encode(), meter.title]
    hidden += [bytes(value) for value in options.values() if isinstance(value, Secret)]
    for value in hidden:
        assert value.hex() not in text, value
        assert value.decode("latin-1") not in text, value
    assert len(document["exchanges"]) > 1


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
@pytest.mark.parametrize("session", SESSIONS)
async def test_what_was_recorded_is_served_again(clock: FakeClock, framing: str, session: str) -> None:
    document, meter = await dumped(framing, clock, **SESSIONS[session])
    capture = Capture(yaml.safe_load(yaml.safe_dump(document)))
    near, far = memory_pair()
    plain = {key: value for key, value in SESSIONS[session].items() if key in ("client", "referencing")}
    settings = ConnectionSettings(serial="x", framing=framing, timeout=1, **plain)
    task = asyncio.create_task(replay_on(capture, far))
    async with DlmsClient(settings, transport=near) as client:
        name = await client.get_many([LOGICAL_DEVICE_NAME, AttributeDescriptor(1, Obis((1, 0, 0, 2, 0, 255)), 2)])
        assert isinstance(name[0], Data)
        assert len(name[0].value) == len(meter.name)
        assert name[0].value != meter.name.encode()
        again = await client.get_many([LOGICAL_DEVICE_NAME, AttributeDescriptor(1, Obis((1, 0, 0, 2, 0, 255)), 2)])
        assert again == name
        with pytest.raises(MeterRefused):
            await client.get(AttributeDescriptor(1, Obis((0, 0, 96, 77, 0, 255)), 2))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("session", ["low", "ciphered", "short names", "ciphered short names"])
async def test_objects_single_values_and_profiles_are_served_again(clock: FakeClock, session: str) -> None:
    """Not only the questions of the dump, but those of other commands about the same things."""
    document, _ = await dumped("wrapper", clock, **SESSIONS[session])
    near, far = memory_pair()
    plain = {key: value for key, value in SESSIONS[session].items() if key in ("client", "referencing")}
    settings = ConnectionSettings(serial="x", framing="wrapper", timeout=1, **plain)
    task = asyncio.create_task(replay_on(Capture(document), far))
    async with DlmsClient(settings, transport=near) as client:
        assert len(await read_objects(client)) > 20
        assert isinstance((await client.get(LOGICAL_DEVICE_NAME)).value, bytes)
        profile = await read_profile(client, LOAD_PROFILE, Selection(first=1, count=2))
    assert len(profile.rows) == 2
    assert len(profile.columns) > 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def sign_on_dump(clock: FakeClock, *, eight_bits: bool = False, **options: Any) -> tuple[dict[str, Any], bytes]:
    """A meter whose sign-on tells its number, octet by octet as ports do; the number."""
    meter = household(7, clock=clock)
    number = meter.name[-8:]
    near, far = memory_pair(line=SerialFormat(300, 8) if eight_bits else SerialFormat(300, 7, "even"), latency=0.03)
    said = SignOnOptions(identification=Identification("ISK", "5", ("2",), f"ME371-{number}"), address=number)
    settings = ConnectionSettings(serial="x", opening="sign-on", iec_address=number, **options)
    async with serve_memory(meter, far, "hdlc", sign_on=said):
        port = LinePath(near, eight_bits=True) if eight_bits else near
        return await dump_session(settings, transport=port, salt=SALT, objects=12), number.encode()


async def test_a_session_with_a_sign_on_is_served_with_one(clock: FakeClock) -> None:
    """As the real meter: at 300 baud first, again after each link, and under another number."""
    document, number = await sign_on_dump(clock, client=17)
    near, far = memory_pair(line=SerialFormat(), latency=0.03)
    settings = ConnectionSettings(serial="x", opening="sign-on", client=17)
    task = asyncio.create_task(replay_on(Capture(document), far))
    for _ in range(2):
        async with DlmsClient(settings, transport=near) as client:
            name = (await client.get(LOGICAL_DEVICE_NAME)).value
        assert number not in name
    assert near.count.octets[1] > 100
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("eight_bits", [False, True])
@pytest.mark.parametrize("password", [PASSWORD, Secret(b"wrong password")])
async def test_a_sign_on_tells_no_number(clock: FakeClock, eight_bits: bool, password: Secret) -> None:
    parity = {"parity": "none"} if eight_bits else {}
    document, number = await sign_on_dump(
        clock, eight_bits=eight_bits, client=32, authentication="low", password=password, **parity
    )
    for direction in "<>":
        stream = b"".join(bytes.fromhex(octets) for _, way, octets in document["frames"] if way == direction)
        assert number not in stream
        assert number not in strip_parity(stream)
    assert any(b"ME371-" in strip_parity(bytes.fromhex(octets)) for *_, octets in document["frames"])
    assert number.decode() not in str(document)


async def test_a_session_that_breaks_off_tells_no_number(clock: FakeClock) -> None:
    """The meter falls silent in the middle: what it had said of itself is replaced all the same."""
    meter = household(7, clock=clock)
    near, far = memory_pair()
    answers = 0

    def falls_silent(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal answers
        answers += 1
        return [(0.0, data)] if answers < 6 else []

    far.fault = falls_silent
    settings = ConnectionSettings(serial="x", client=17, retries=0, timeout=1)
    async with serve_memory(meter, far, "hdlc"):
        document = await dump_session(settings, transport=near, salt=SALT, objects=30)
    assert "error" in document["facts"]
    text = yaml.safe_dump(document)
    stream = b"".join(bytes.fromhex(octets)[11:-3] for _, way, octets in document["frames"] if way == "<")
    for value in (meter.name.encode(), meter.name[-8:].encode(), meter.title):
        assert value.hex() not in text
        assert value not in stream
    assert meter.name[:3].encode() in stream


async def test_a_number_in_octets_is_noted_before_the_session_breaks_off(clock: FakeClock) -> None:
    """Each object that names the meter is asked for alone: whatever was the last answer, nothing before it leaks."""
    number = "73918264"
    objects = [
        {"obis": f"0.0.96.1.{at}.255", "attributes": {2: ["octet-string", f"{number}{at:02x}"]}} for at in (5, 6)
    ]
    for last in range(4, 30):
        meter = describe({"kind": "bare", "objects": objects}, clock=clock).meter
        near, far = memory_pair()
        answers = itertools.count()
        far.fault = lambda data, answers=answers, last=last: [(0.0, data)] if next(answers) < last else []
        settings = ConnectionSettings(serial="x", client=17, retries=0, timeout=1, framing="wrapper")
        async with serve_memory(meter, far, "wrapper"):
            document = await dump_session(settings, transport=near, salt=SALT, objects=30)
        assert number not in str(document), last
    assert "error" not in document["facts"]


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
async def test_challenges_and_their_answers_are_crossed_out(clock: FakeClock, framing: str) -> None:
    """An MD5 sum over a challenge and a password lets anybody try passwords at home."""
    document, _ = await dumped(framing, clock, **SESSIONS["md5"])
    proof = bytes.fromhex(document["exchanges"][0][0])
    assert proof[4:5] == b"\x0f"  # reply_to_HLS of class 15
    assert proof.endswith(b"\x09\x10" + b"x" * 16)
    answer = bytes.fromhex(document["exchanges"][0][1])
    assert answer.endswith(b"\x09\x10" + b"x" * 16)
    octets = b"".join(bytes.fromhex(row[2]) for row in document["frames"])
    assert octets.count(b"x" * 16) == 4


async def test_check_sequences_are_made_anew(clock: FakeClock) -> None:
    document, _ = await dumped("hdlc", clock, client=32, authentication="low", password=PASSWORD)
    assert len(document["frames"]) > 10
    for _seconds, direction, octets in document["frames"]:
        assert direction in "<>"
        assert type(read_frame(bytes.fromhex(octets), 0, final=True)) is Frame


async def test_a_ciphered_session_is_kept_in_plain(clock: FakeClock) -> None:
    document, _ = await dumped("wrapper", clock, **SESSIONS["ciphered"])
    assert document["frames"] == []
    assert "plain" in document["notes"][0]
    assert document["exchanges"][0][0].startswith(("c001", "c301", "c003"))


async def test_an_echo_is_no_answer(clock: FakeClock) -> None:
    document, _ = await dumped("hdlc", clock, echo=True, client=16)
    for question, *answers in document["exchanges"]:
        assert question not in answers


async def test_a_session_that_fails_leaves_a_capture(clock: FakeClock) -> None:
    document, _ = await dumped("hdlc", clock, client=32, authentication="low", password=Secret(b"wrong"))
    assert "refused" in document["facts"]["error"]
    assert document["frames"]
    assert b"wrong".hex() not in str(document)


def test_the_command(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "meter.yaml"
    with meter() as port:
        line = ("--tcp", f"127.0.0.1:{port}")
        result = cli("dump", *line, "--output", str(path), "--values", "5")
        assert result.status == 0, result.err
        assert cli("dump", *line, "--output", str(path)).status == 2
        assert cli("dump", *line, "--hide", "Lee").status == 2
        original = cli("read", "0.0.42.0.0", *line, "--json").json["values"][0]["value"]
    text = path.read_text()
    assert original not in text
    assert "by: dlms-mqtt" in text
    with replayed(path) as port:
        served = cli("read", "0.0.42.0.0", "--tcp", f"127.0.0.1:{port}", "--json")
        assert served.status == 0, served.err
        value = served.json["values"][0]["value"]
    assert value != original
    assert len(value) == len(original)


@pytest.mark.parametrize(
    "text",
    ["[]", "format: other", "format: dlms-mqtt-capture-1\nexchanges: [[x]]", "a: [", "format: dlms-mqtt-capture-1"],
)
def test_what_is_no_capture(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        Capture.load(path)


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
async def test_the_title_that_was_expected_of_the_meter_is_replaced_too(clock: FakeClock, right: bool) -> None:
    title = household(7, clock=clock).title if right else b"XYZ\x12\x34\x56\x78\x9a"
    document, meter = await dumped("hdlc", clock, meter_system_title=title, **SESSIONS["ciphered"])
    assert ("error" in document["facts"]) is not right
    told = yaml.safe_dump(document)
    assert not [text for text in (title, meter.title) if text.hex() in told], document["facts"]
