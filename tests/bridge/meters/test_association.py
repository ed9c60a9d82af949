"""How often a secret goes out that the meter does not take, whatever its way of saying no, on a fake clock."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import replace

import pytest

from dlms_mqtt.bridge.api.errors import LockedOut, RequestError
from dlms_mqtt.bridge.meters.association import Session, fingerprint
from dlms_mqtt.bridge.meters.lockout import PAUSES, Lockout
from dlms_mqtt.bridge.meters.shared_line import Line, Priority
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import AccessRefused, AuthenticationRefused, ConnectionLost, DlmsMqttError, StoreError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.transport.memory import memory_pair
from tests.bridge.rig import Rig

DAY = 86400
_INITIATE = bytes.fromhex("be10040e0800065f1f040000501f01f40007")
_CHALLENGE = bytes.fromhex("88020780890760857405080203") + b"\xaa\x12\x80\x10" + b"C" * 16
SILENT, CLOSES = b"", None


def aare(result, source, diagnostic, extra=b""):
    body = bytes.fromhex("a109060760857405080101") + bytes((0xA2, 3, 2, 1, result, 0xA3, 5, 0xA0 + source))
    body += bytes((3, 2, 1, diagnostic)) + extra + _INITIATE
    return bytes((0x61, len(body))) + body


ACCEPTED = aare(0, 1, 0)
_HLS = aare(0, 1, 14, _CHALLENGE)
#: What the meter says to the AARQ and then to pass 3; the last is said to everything else.
REFUSALS = {
    "authentication-failure": [aare(1, 1, 13)],
    "no reason": [aare(1, 1, 1)],
    "transient": [aare(2, 1, 1)],
    "null": [aare(1, 1, 0)],
    "provider": [aare(1, 2, 1)],
    "context": [aare(1, 1, 2)],
    "mechanism required": [aare(1, 1, 12)],
    "closed": [CLOSES],
    "silence": [SILENT],
    "exception": [bytes.fromhex("d80102")],
    "confirmed service error": [bytes.fromhex("0e0106")],
    "no APDU": [b"\xff\x00\x01"],
    "the other mechanism": [aare(0, 1, 0)[:-3]],
    "pass 3 other": [_HLS, bytes.fromhex("c701c1fa00")],
    "pass 3 denied": [_HLS, bytes.fromhex("c701c10300")],
    "pass 3 closed": [_HLS, CLOSES],
    "pass 3 silence": [_HLS, SILENT],
    "pass 3 exception": [_HLS, bytes.fromhex("d80102")],
    "pass 4 wrong": [_HLS, bytes.fromhex("c701c10001000910") + b"x" * 16],
    "pass 4 empty": [_HLS, bytes.fromhex("c701c1000100")],
}
UNHEARD = {"closed", "silence"}


class Meter:
    """Says what the table says; ``sent`` counts the secrets that reached it."""

    def __init__(self, replies):
        self.replies, self.sent, self.tasks = replies, 0, []

    def new_client(self, settings):
        near, far = memory_pair()
        self.tasks.append(asyncio.ensure_future(self.serve(far)))
        return DlmsClient(settings, transport=near, random=bytes)

    async def serve(self, line):
        await line.open()
        with contextlib.suppress(DlmsMqttError):
            for number in range(9):
                frame = await line.read(None)
                header, apdu = frame[:8], frame[8:]
                self.sent += apdu[:1] == b"\x60"
                reply = self.replies[min(number, len(self.replies) - 1)]
                if reply is CLOSES:
                    break
                if apdu[:1] == b"\xc3" and reply[:1] == b"\xc7":
                    reply = reply[:2] + apdu[2:3] + reply[3:]
                if reply:
                    line.write(header[:2] + header[4:6] + header[2:4] + struct.pack(">H", len(reply)) + reply)
        await line.close()


def settings_for(name, **more):
    how = "md5" if name.startswith("pass") else "low"
    secret = {"client": 32, "authentication": how, "password": "text:wrongpw1", "timeout": 1, "retries": 1}
    return parse_settings({"tcp": "memory", **secret, **more})


def session_for(meter, settings, store, clock, attempts=2, **more):
    return Session("m", settings, Line("memory"), meter.new_client, store, clock, attempts, **more)


async def nothing(_client):
    return None


async def poll(session, clock, seconds, every=10.0):
    """As a poller does: again and again; how often the association stood."""
    stood, end = 0, clock.monotonic() + seconds
    while clock.monotonic() < end:
        try:
            await session.run(Priority.POLL, nothing, keep=False)
            stood += 1
        except DlmsMqttError:
            pass
        await asyncio.sleep(every)
    return stood


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state.sqlite") as store:
        yield store


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_secret_that_never_worked_is_few_times_sent_however_it_is_refused(clock, store, name):
    meter = Meter(REFUSALS[name])
    assert not await poll(session_for(meter, settings_for(name), store, clock), clock, DAY)
    assert 2 <= meter.sent <= (2 + DAY / PAUSES[0] if name in UNHEARD else 5)
    before = meter.sent
    for _ in range(12):  # the process is killed and started again, with fields that are no secrets changed
        session = session_for(meter, settings_for(name, timeout=2, client=33), store, clock)
        await poll(session, clock, 60)
    assert meter.sent <= before + 1


@pytest.mark.parametrize("said", [CLOSES, SILENT, bytes.fromhex("d80102"), bytes.fromhex("c401c10103")])
async def test_accepted_with_a_diagnostic_against_it_is_no_success_before_something_is_read(clock, store, said):
    async def get(client):
        return await client.get(AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2))

    meter = Meter([aare(0, 1, 13), said])
    for _ in range(3):
        session = session_for(meter, settings_for("low"), store, clock)
        for _ in range(60):
            with contextlib.suppress(DlmsMqttError):
                await session.run(Priority.POLL, get, keep=False)
            await asyncio.sleep(10)
    assert 2 <= meter.sent <= 4 and not session.proved


async def test_accepted_with_an_odd_diagnostic_and_read_is_a_success(clock, store):
    session = session_for(Meter([aare(0, 1, 1)]), settings_for("low"), store, clock)
    assert await poll(session, clock, 60) == 6
    assert session.proved and not session.lockout.refusals


async def test_a_kill_while_the_secret_is_on_its_way_counts(clock, store):
    meter = Meter([SILENT])
    for _ in range(12):
        session = session_for(meter, settings_for("low"), store, clock)
        before, task = meter.sent, asyncio.ensure_future(session.run(Priority.POLL, nothing, keep=False))
        while meter.sent == before and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        session._store = None  # nothing is written any more: the process is gone
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert meter.sent == 2


async def test_a_clock_that_starts_wrong_repeats_nothing(clock, store):
    meter = Meter([aare(1, 1, 13)])
    await poll(session_for(meter, settings_for("low"), store, clock), clock, 60)
    assert meter.sent == 2
    for jump in (-DAY * 400, DAY * 400):
        session = session_for(meter, settings_for("low"), store, clock)
        real = clock.time
        clock.time = lambda jump=jump, real=real: real() + jump
        await poll(session, clock, 60)
        clock.time = real
    assert meter.sent == 2


async def test_what_cannot_be_written_is_not_sent(clock, store, monkeypatch):
    def full(*_):
        raise StoreError("the disk is full")

    meter = Meter([ACCEPTED])
    monkeypatch.setattr(store, "update", full)
    session = session_for(meter, settings_for("low"), store, clock)
    with pytest.raises(StoreError, match="full"):
        await session.run(Priority.POLL, nothing, keep=False)
    assert meter.sent == 0
    monkeypatch.undo()
    await session.run(Priority.POLL, nothing, keep=False)
    monkeypatch.setattr(store, "update", full)
    await session.run(Priority.POLL, nothing, keep=False)  # it has worked, so nothing need be written
    assert meter.sent == 2


@pytest.mark.parametrize("name", ["no reason", "closed", "silence", "exception", "no APDU", "pass 4 wrong"])
async def test_settings_that_have_worked_are_not_locked_by_damaged_answers(clock, store, name):
    meter = Meter([ACCEPTED])
    session = session_for(meter, settings_for("low"), store, clock)
    assert await poll(session, clock, 60)
    meter.replies = REFUSALS[name]
    await poll(session, clock, 3600)
    meter.replies = [ACCEPTED]
    assert await poll(session, clock, 60) > 1


@pytest.mark.expect_log("the pause after refused passwords is not kept")
async def test_a_password_that_is_plainly_refused_locks_though_it_has_worked(clock, store, monkeypatch):
    meter = Meter([ACCEPTED])
    session = session_for(meter, settings_for("low"), store, clock)
    await poll(session, clock, 60)
    meter.replies, meter.sent = [aare(1, 1, 13)], 0
    monkeypatch.setattr(store, "update", lambda *_: (_ for _ in ()).throw(StoreError("the disk is full")))
    await poll(session, clock, DAY)
    assert meter.sent <= 5


async def test_another_secret_starts_afresh(clock, store):
    meter = Meter([aare(1, 1, 13)])
    await poll(session_for(meter, settings_for("low"), store, clock), clock, 60)
    with pytest.raises(LockedOut):
        await session_for(meter, settings_for("low"), store, clock).run(Priority.POLL, nothing, keep=False)
    other = session_for(meter, settings_for("low", password="text:right678"), store, clock)
    meter.replies = [ACCEPTED]
    assert await poll(other, clock, 60)


async def test_a_line_without_a_secret_never_locks(clock, store):
    meter = Meter([aare(1, 1, 13)])
    plain = replace(settings_for("low"), authentication="none", password=None)
    await poll(session_for(meter, plain, store, clock), clock, 3600)
    assert meter.sent > 100


async def test_trying_settings_out_is_not_locked_by_silence_but_by_one_refusal(clock, store):
    meter = Meter([SILENT])
    session = session_for(meter, settings_for("low"), store, clock, 1, trial=True)
    for _ in range(3):
        with pytest.raises(DlmsMqttError, match="no answer"):
            await session.run(Priority.COMMAND, nothing, keep=False)
    meter.replies = [aare(1, 1, 1)]
    with pytest.raises(DlmsMqttError, match="refused"):
        await session.run(Priority.COMMAND, nothing, keep=False)
    with pytest.raises(LockedOut):
        await session.run(Priority.COMMAND, nothing, keep=False)


async def test_a_trial_that_was_refused_before_the_line_was_remembered_too_is_not_forgotten(clock, store):
    settings = settings_for("low")
    refused = Lockout(fingerprint(settings)).refused(clock.time(), 1)
    store.set("lockout", "m", refused.dump())  # as version 0.1 left it
    session = session_for(Meter([SILENT]), settings, store, clock, 1, trial=True)
    with pytest.raises(LockedOut):
        await session.run(Priority.COMMAND, nothing, keep=False)


@pytest.mark.parametrize("let_in", [True, False])
async def test_a_dump_with_a_secret_that_has_not_worked_counts_before_it_is_sent(clock, store, let_in):
    session = session_for(Meter([ACCEPTED]), settings_for("low"), store, clock)
    refusals = []

    async def dump(_settings):
        refusals.append(session_for(Meter([]), settings_for("low"), store, clock).lockout.refusals)  # as after a kill
        return "dumped"

    assert await session.alone(dump, lambda _: let_in) == "dumped"
    assert refusals == [1]
    if let_in:
        assert await session.alone(dump, lambda _: True) == "dumped"
    else:
        with pytest.raises(RequestError, match="not sent again"):
            await session.alone(dump, lambda _: True)


@pytest.mark.expect_log("m: ")
async def test_facts_that_cannot_be_read_are_told_and_start_afresh(clock, store, monkeypatch):
    def damaged(*_):
        raise StoreError("damaged")

    monkeypatch.setattr(store, "get", damaged)
    session = session_for(Meter([ACCEPTED]), settings_for("low"), store, clock)
    assert await poll(session, clock, 20)


ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)


class Household:
    """A session with a real simulated meter, and how often its work was begun."""

    def __init__(self, clock, store, **more):
        self.rig = Rig(clock, store, {"read": "none", **more})
        self.session, self.begun = self.rig.task.session, 0

    async def read(self, client, attribute=ENERGY):
        self.begun += 1
        return (await client.read([attribute]))[0]

    async def run(self, work=None, *, keep=True, repeat=True):
        return await self.session.run(Priority.POLL, work or self.read, keep=keep, repeat=repeat)

    async def hangs_up(self):
        """The meter does, in silence."""
        await self.rig.stack.aclose()


@pytest.fixture
async def home(clock, store):
    home = Household(clock, store)
    yield home
    await home.session.close()
    await home.rig.stack.aclose()


async def test_it_is_left_open_or_closed_as_asked_and_its_scalers_are_learned(home):
    assert home.session.client is None
    await home.run(keep=False)
    assert home.session.client is None and home.session.opened == 1
    for _ in range(3):
        await home.run()
    assert home.session.client is not None and home.session.opened == 2
    assert home.session.scalers == {ENERGY.obis: ScalerUnit(0, 30)}
    assert home.session.invocation_counter is None  # nothing is ciphered


async def test_one_that_the_meter_has_dropped_is_opened_again_and_a_read_is_done_again(home):
    await home.run()
    await home.hangs_up()
    assert (await home.run()).data.value > 0
    assert (home.begun, home.session.opened) == (3, 2)


async def test_what_must_not_be_repeated_is_not_begun_in_one_that_is_gone(home):
    """After a long silence one question proves that it stands."""
    await home.run()
    await asyncio.sleep(60)
    await home.run(repeat=False)
    assert home.session.opened == 1
    await asyncio.sleep(60)
    await home.hangs_up()
    await home.run(repeat=False)
    assert (home.begun, home.session.opened) == (3, 2)
    await home.hangs_up()  # a moment later: nobody can know
    with pytest.raises(DlmsMqttError):
        await home.run(repeat=False)
    assert (home.begun, home.session.opened) == (4, 2)


async def test_a_refusal_is_the_meters_answer_and_no_dead_line(home):
    async def refused(client):
        home.begun += 1
        await client.get(AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 9))

    await home.run()
    with pytest.raises(AccessRefused):
        await home.run(refused)
    assert (home.begun, home.session.opened, home.session.errors) == (2, 1, 0)
    assert home.session.client is not None


async def test_nothing_is_asked_in_a_pause_and_it_has_an_end(home):
    await home.run()
    await home.session.pause(60)
    assert home.session.client is None
    with pytest.raises(RequestError, match="paused") as caught:
        await home.run()
    assert caught.value.code == "paused" and home.begun == 1
    await asyncio.sleep(61)
    await home.run()
    assert home.begun == 2


async def test_nothing_is_asked_before_the_systems_clock_is_set(home, clock):
    clock.start = 0.0
    with pytest.raises(RequestError, match="clock is not set"):
        await home.run()
    assert home.begun == 0


async def test_a_line_that_is_dead_at_the_farewell_ends_nothing(home, monkeypatch):
    async def fails(_client):
        raise ConnectionLost("the cable was pulled")

    await home.run()
    with monkeypatch.context() as patch:
        patch.setattr(DlmsClient, "close", fails)
        await home.session.close()
    assert home.session.client is None
    await home.run()
    assert home.session.opened == 2


async def test_a_password_that_is_refused_in_the_middle_of_the_work_counts(clock, store):
    """The client has opened the association anew by itself, and somebody has changed the password meanwhile."""

    async def refused(_client):
        raise AuthenticationRefused("the meter refused the password", reason="password")

    session = session_for(Meter([ACCEPTED]), settings_for("low"), store, clock)
    await session.run(Priority.POLL, nothing, keep=True)
    assert session.proved and not session.lockout.refusals
    with pytest.raises(AuthenticationRefused):
        await session.run(Priority.POLL, refused, keep=True)
    assert session.lockout.refusals == 1 and session.client is None
