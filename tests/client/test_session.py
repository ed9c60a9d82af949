"""The life of one association: opened, refused, left by error or Ctrl-C, released, closed in time on a dead line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.services.memory import Measured, Memory
from dlms_mqtt.client.settings import ConnectionSettings, parse_settings
from dlms_mqtt.client.state.facts import DOUBTFUL
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import (
    AccessRefused,
    AssociationRefused,
    AuthenticationRefused,
    ConnectionLost,
    LocalProtocolError,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
    SecurityError,
    ServiceRefused,
)
from dlms_mqtt.protocol.acse.messages import Aarq, AssociationResult, Diagnostic, ServiceUserDiagnostic
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse, ServiceError, StateError
from dlms_mqtt.protocol.apdu.get import GetResponseNormal
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Kind, encode_frame
from dlms_mqtt.protocol.framing.mode_e import SignOnServer
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.security import Security
from dlms_mqtt.simulator import MANAGER, PASSWORD, Association, SignOnOptions, serve_memory
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines.serial import READOUT_ONLY
from dlms_mqtt.transport.memory import memory_pair
from tests.client.our_meter import CIPHERED, KEYS, TITLE, WAYS, OurMeter, wrong
from tests.client.scripted import Scripted, accepted
from tests.client.some_objects import ENERGY, attribute
from tests.line import SIGN_ON, sign_on_as_meter

NAME = attribute(1, "0.0.42.0.0.255")
TIME = attribute(8, "0.0.1.0.0.255")
LABEL = attribute(1, "0.0.96.1.1.255")
NUMBER = Data(DataType.DOUBLE_LONG_UNSIGNED, 7)
ANSWER = GetResponseNormal(0xC1, None, encode(NUMBER))
FRAMINGS = pytest.mark.parametrize("framing", ["hdlc", "wrapper"])


@FRAMINGS
@pytest.mark.parametrize("way", WAYS)
async def test_every_client_of_our_meter(clock: object, way: str, framing: str) -> None:
    async with OurMeter(framing=framing) as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **WAYS[way]) as client:
                answers = await client.get_many([NAME, TIME, NAME])
            assert [type(answer) for answer in answers] == [Data, Data, Data]


@FRAMINGS
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("way", ["public", "gmac, ciphered"])
async def test_general_blocks_with_our_meter(clock: object, way: str, window: int, framing: str) -> None:
    async with OurMeter(framing=framing) as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, gbt_window=window, max_pdu=120, **WAYS[way]) as client:
                objects = await read_objects(client)
    assert len(objects) >= 8
    assert meter.times(b"\xe0") > 0


@pytest.mark.parametrize("echo", [False, True])
async def test_silence_after_a_sign_on_is_about_the_address(clock: object, echo: bool) -> None:
    """The meter is there, the head sits well: what is left is the address."""
    near, far = memory_pair(line=SIGN_ON)
    await far.open()
    meter = asyncio.create_task(sign_on_as_meter(far, SignOnServer(Identification("ISK", "5", ("2",), "ME371"))))
    near.echo = echo
    settings = parse_settings({"serial": "memory", "opening": "sign-on", "timeout": "1s", "retries": "1", "server": 17})
    with pytest.raises(ResponseTimeout, match="answers the sign-on, but not at this address") as caught:
        await DlmsClient(settings, transport=near).open()
    assert caught.value.reason == "wrong-address"
    meter.cancel()
    await asyncio.gather(meter, return_exceptions=True)


@FRAMINGS
async def test_a_line_that_ends(clock: object, framing: str) -> None:
    async with OurMeter(framing=framing) as meter:
        client = meter.client()
        async with client:
            meter.faults.add("drop")
            with pytest.raises(ConnectionLost):
                await client.get(NAME)
        async with client:
            assert isinstance(await client.get(NAME), Data)
            meter.faults.add("drop")  # with others the rest is read, in a new association
            assert all(isinstance(answer, Data) for answer in await client.get_many([NAME, TIME]))


async def test_a_stuck_association_is_ended_with_disc(clock: object) -> None:
    async with OurMeter("stuck:60") as meter:
        first = meter.client()
        await first.open()
        first._exchange = None  # the program was killed: nothing was released
        await first.close()
        with pytest.raises(AssociationRefused) as caught:
            await meter.client().open()
        assert "earlier association that was never released" in caught.value.hint
        assert sum(b"\x53" in write[:8] for write in meter.line.sent) >= 1, "DISC, then SNRM again"
        await asyncio.sleep(61)
        async with meter.client() as client:
            assert isinstance(await client.get(NAME), Data)


@FRAMINGS
@pytest.mark.parametrize("way", ["low", "md5", "sha1", "sha256", "hls"])
async def test_a_wrong_password_is_sent_once(clock: object, way: str, framing: str) -> None:
    async with OurMeter(framing=framing) as meter:
        options = WAYS[way] | {"password": wrong(WAYS[way]["password"])}
        with pytest.raises(AuthenticationRefused) as caught:
            await meter.client(**options).open()
        assert not meter.line.is_open, "the line is closed"
    assert "never" in caught.value.hint or "not tried again" in caught.value.hint
    tries = sum(b"\x60" in write and b"\x8b\x07" in write for write in meter.line.sent)
    assert tries == 1, "one AARQ with an authentication"


async def test_a_refusal_leaves_nothing_behind(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter:
        client = meter.client(client=99)
        with pytest.raises(MeterRefused):
            await client.open()
        assert client._exchange is None
        assert client.statistics is None
        with pytest.raises(LocalProtocolError, match="async with"):
            await client.get(NAME)


async def test_missing_passwords_are_explained(clock: object) -> None:
    async with OurMeter() as meter:
        with pytest.raises(AssociationRefused) as caught:
            await meter.client(client=32).open()
        assert caught.value.hint


async def test_an_aare_with_unknown_fields_and_one_without_user_information(clock: object) -> None:
    odd = accepted("ln", 1024).encode()
    extra = b"\xb7\x03\x04\x01\x05"
    strange = bytes((odd[0], odd[1] + len(extra))) + odd[2:] + extra
    async with Scripted([(None, ANSWER)], aare=strange) as meter:
        assert meter.client.association.unknown
        assert await meter.client.get(ENERGY) == NUMBER
    refused = accepted(
        "ln",
        1024,
        result=AssociationResult.REJECTED_PERMANENT,
        diagnostic=Diagnostic(1, ServiceUserDiagnostic.CALLING_AP_TITLE_NOT_RECOGNIZED),
        user_information=None,
    )
    with pytest.raises(AssociationRefused, match="calling-AP-title-not-recognized") as caught:
        async with Scripted(aare=refused):
            pass
    assert "system title" in caught.value.hint
    silent = accepted("ln", 1024, user_information=None)
    with pytest.raises(RemoteProtocolError, match="without saying what it offers"):
        async with Scripted(aare=silent):
            pass


@pytest.mark.parametrize("code", [1, 2, 11, 12, 13, 14])
async def test_what_is_said_of_the_caller_is_no_association_left_open(clock: object, code: int) -> None:
    """Another link and another AARQ would cost a turn and change nothing; no-reason-given may mean a stuck one."""
    diagnostic = Diagnostic(1, ServiceUserDiagnostic(code))
    result = AssociationResult.REJECTED_PERMANENT
    meter = Scripted(aare=accepted("ln", 1024, result=result, diagnostic=diagnostic, user_information=None), hdlc=True)
    with pytest.raises(AssociationRefused):
        await meter.client.open()
    assert sum(isinstance(request, Aarq) for request in meter.requests) == (2 if code == 1 else 1)


async def test_a_refused_release_is_no_error(clock: object) -> None:
    for value in ("silence", "exception"):
        async with OurMeter(f"refuse-release:{value}", framing="wrapper") as meter, meter.client() as client:
            await client.get(NAME)


@FRAMINGS
async def test_ctrl_c_releases_and_disconnects(clock: object, framing: str) -> None:
    async with OurMeter("stuck:600", framing=framing) as meter:
        reached = asyncio.Event()

        async def poll() -> None:
            async with meter.client(timeout=60.0) as client:
                await client.get(NAME)
                meter.faults.add("deaf,times=1")
                reached.set()
                await client.get(NAME)

        task = asyncio.create_task(poll())
        await reached.wait()
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not meter.line.is_open, "the line is closed"
        async with meter.client() as client:
            assert isinstance(await client.get(NAME), Data), "the association was not left open"


async def test_leaving_a_dead_line_takes_no_longer_than_allowed(clock: Any) -> None:
    async with OurMeter() as meter:
        client = meter.client(timeout=100.0, **CIPHERED)
        await client.open()
        meter.faults.add("silence")
        before = clock.monotonic()
        await client.close()
        assert clock.monotonic() - before <= 8.0
        assert not meter.line.is_open


async def test_an_error_inside_leaves_too(clock: object) -> None:
    async with OurMeter("stuck:600") as meter:
        with pytest.raises(AccessRefused):
            async with meter.client() as client:
                await client.get(attribute(3, "9.9.9.9.9.9"))
        async with meter.client() as client:
            await client.get(NAME)


async def test_the_counter_is_asked_for_through_the_public_client(clock: object) -> None:
    for framing in ("hdlc", "wrapper"):
        async with OurMeter(framing=framing) as meter:
            with Store(MEMORY) as store:
                async with meter.client(store, **CIPHERED | {"invocation_counter": None}) as client:
                    assert isinstance(await client.get(NAME), Data)
                async with meter.client(store, **CIPHERED | {"invocation_counter": None}) as client:
                    assert isinstance(await client.get(NAME), Data)


async def test_the_link_goes_even_when_the_release_is_not_answered(clock: Any) -> None:
    async with OurMeter("refuse-release:silence") as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED) as client:
                await client.get(NAME)
                began = clock.monotonic()
    assert Kind.DISC | POLL in [data[5] for data in meter.line.sent if len(data) == 9]
    assert clock.monotonic() - began < 6


@FRAMINGS
@pytest.mark.parametrize("ciphering", ["global", "general-global"])
@pytest.mark.parametrize("window", [0, 3])
async def test_a_pre_established_association_that_is_ciphered(
    clock: object, ciphering: str, framing: str, window: int
) -> None:
    """Nobody tells titles: with service-specific tags both are known before, with general ones each message tells."""
    way = {**CIPHERED, "client": 19, "authentication": "none", "ciphering": ciphering, "pre_established": True}
    async with OurMeter(framing=framing) as meter:
        title = TITLE if ciphering == "global" else b""
        row = Association(19, "standing", MANAGER, keys=KEYS, policy=Security.BOTH, pre_established=True)
        meter.meter.associate(replace(row, client_title=title, max_pdu=150))
        with Store(MEMORY) as store:
            if ciphering == "global":
                with pytest.raises(SecurityError, match="is not known"):
                    async with meter.client(store, **way) as client:
                        await client.get(NAME)
                way["meter_system_title"] = meter.meter.title
            meter.line.sent.clear()
            async with meter.client(store, gbt_window=window, **way) as client:
                assert (await client.get(NAME)).value == meter.meter.name.encode()
                await client.set(LABEL, Data(DataType.OCTET_STRING, b"x" * 40))
        assert meter.times(bytes(NAME.obis)) == 0, "all is ciphered"
        with Store(MEMORY) as store, pytest.raises(SecurityError, match="system title"):
            async with meter.client(store, **way | {"meter_system_title": b"OTHER001"}) as client:
                await client.get(NAME)


async def test_idle_says_when_a_keep_alive_is_due(clock: Any) -> None:
    async with OurMeter() as meter, meter.client() as client:
        before = meter.times(b"\xc0\x01")
        await client.keep_alive()
        await asyncio.sleep(30)
        assert meter.times(b"\xc0\x01") - before == 1
        assert 30 <= client.idle < 31
    assert client.idle == 0.0


# -- a readout in the place of an association --------------------------------------------------------------------------


@asynccontextmanager
async def signing_on(options: SignOnOptions, clock: Any, **settings: Any) -> AsyncIterator[DlmsClient]:
    """A client, not open, and the simulated meter that signs on so, on a serial line in memory."""
    near, far = memory_pair(line=SIGN_ON, latency=0.03)
    wanted = ConnectionSettings(**{"serial": "memory", "framing": "hdlc", "retries": 1, **settings})
    async with serve_memory(household(clock=clock), far, sign_on=options):
        yield DlmsClient(wanted, transport=near, memory=Memory())


async def test_a_readout_is_read_as_an_association_is(clock: Any) -> None:
    """A value that stands in none is asked for in programming mode; no secret goes out before it is noted."""
    noted: list[float] = []
    wanted = {"opening": "readout", "authentication": "low", "password": PASSWORD}
    async with signing_on(READOUT_ONLY, clock, **wanted) as client:
        client.before_secret = lambda: noted.append(clock.monotonic())
        async with client:
            assert client.reads_out and client.ready and client.has_received and noted == []
            energy, beside = await client.read([ENERGY, attribute(3, "1.0.1.4.0.255")])
            assert isinstance(energy, Measured)
            assert isinstance(beside, Measured) or beside.name == "object-undefined"
            await client.recover(ResponseTimeout("nothing came"))  # the readout is made anew
            assert client.ready and client.reads_out
        assert client.figures.signed_on and len(noted) == 1


async def test_where_nobody_speaks_hdlc_its_readout_is_taken_and_remembered(clock: Any) -> None:
    async with signing_on(replace(READOUT_ONLY, programming=False), clock, opening="auto") as client:
        async with client:
            assert client.reads_out and client.memory.reads_out
            assert client.association.max_pdu == 0
        async with client:  # at once: nobody is asked for HDLC
            assert client.reads_out


async def test_the_first_error_is_told_where_there_is_no_readout_either(clock: Any) -> None:
    """It announces HDLC, and says nothing any more once it has signed on."""
    near, far = memory_pair(line=SIGN_ON)
    await far.open()
    meter = asyncio.create_task(sign_on_as_meter(far, SignOnServer(Identification("ISK", "5", ("2",), "ME371"))))
    settings = ConnectionSettings(serial="memory", opening="auto", framing="hdlc", retries=0, timeout=1.0)
    client = DlmsClient(settings, transport=near)
    with pytest.raises(ResponseTimeout) as caught:
        await client.open()
    assert caught.value.reason == "wrong-address"
    assert not client.memory.reads_out and client.statistics is None
    await asyncio.gather(meter, return_exceptions=True)


async def test_a_sign_on_that_nobody_answers_is_a_figure_too(clock: object) -> None:
    near, _far = memory_pair(line=SIGN_ON)
    client = DlmsClient(ConnectionSettings(serial="memory", opening="sign-on", retries=0), transport=near)
    with pytest.raises(ResponseTimeout, match="nothing answers the sign-on"):
        await client.open()
    assert client.figures.signed_on is False and not client.has_received


# -- what is repaired once while it opens ------------------------------------------------------------------------------


class Refusing(Scripted):
    """The first AARQ is met with these octets in an HDLC link, or with this APDU; the next one is accepted."""

    def __init__(self, first: bytes, *, raw: bool = False, **options: Any) -> None:
        super().__init__([(None, ANSWER)], hdlc=True, **options)
        self._first, self._raw = first, raw

    def _take(self, request: Any) -> None:
        if not self._first or not isinstance(request, Aarq):
            super()._take(request)
            return
        self.requests.append(request)
        first, self._first = self._first, b""
        if self._raw:
            self._far.write(first)
            self.link.disconnect()
            while self.link.next_event():
                pass
        else:
            self._send(first)


BUSY = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE).encode()


@pytest.mark.parametrize(
    ("first", "raw"),
    [(encode_frame(Kind.DM | POLL, b"\x21", b"\x03"), True), (BUSY, False)],
    ids=["the link is gone", "another association is open"],
)
async def test_an_aarq_that_meets_a_leftover_is_asked_once_more(clock: object, first: bytes, raw: bool) -> None:
    async with Refusing(first, raw=raw) as meter:
        assert await meter.client.get(ENERGY) == NUMBER
        assert [type(request) for request in meter.requests[:2]] == [Aarq, Aarq]


async def test_with_a_password_the_same_refusal_is_the_last_word(clock: object) -> None:
    """It may be about the password: meters lock."""
    low = {"authentication": "low", "password": PASSWORD, "client": 32}
    with pytest.raises(ServiceRefused):
        async with Refusing(BUSY, settings=low) as meter:
            pass
    meter = Refusing(BUSY, settings=low)
    with pytest.raises(ServiceRefused):
        await meter.client.open()
    assert len(meter.requests) == 1


async def test_a_counter_that_is_refused_with_the_aarq_is_corrected_at_once(clock: object) -> None:
    async with OurMeter("counter-refused:told") as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED) as client:
                assert isinstance(await client.get(NAME), Data)


@pytest.mark.parametrize("tells", [True, False])
async def test_after_a_backup_came_back_the_meter_is_asked_where_the_counter_is(clock: object, tells: bool) -> None:
    """Once; one whose public client is not there is opened with the counter that is kept."""
    way = CIPHERED | {"invocation_counter": None}
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **way) as client:
                await client.get(NAME)
            store.set(*DOUBTFUL, True)
            if not tells:
                del meter.meter.associations[16]
            before = meter.line.opened
            client = meter.client(store, **way)
            for _ in range(2):
                async with client:
                    assert isinstance(await client.get(NAME), Data)
            assert meter.line.opened - before == (2 if tells else 3)


async def test_a_meter_that_was_gone_is_tried_again_first(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter, meter.client(timeout=1.0, retries=0) as client:
        meter.faults.add("silence")
        with pytest.raises(ResponseTimeout):
            await client.recover(ResponseTimeout("no answer"))
        assert not client.ready
        meter.faults.remove("silence")
        assert isinstance(await client.get(NAME), Data)
        assert client.ready


async def test_what_comes_unasked_is_taken_between_two_questions(clock: object) -> None:
    pushed = DataNotification(1, None, encode(NUMBER))
    async with Scripted() as meter:
        with pytest.raises(ResponseTimeout):
            await meter.client.overhear(1.0)
        meter.link.send(pushed.encode())
        meter._far.write(meter.link.data_to_send())
        await meter.client.overhear(1.0)
        assert meter.notifications == [pushed]


@pytest.mark.expect_log("a gap in what it says")
async def test_what_is_odd_is_logged_once_for_a_meter(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory()
    for _ in range(2):
        near, _far = memory_pair()
        DlmsClient(ConnectionSettings(serial="memory"), transport=near, memory=memory)._warn_once(
            "a gap in what it says"
        )
    assert [record.getMessage() for record in caplog.records] == [f"{near.name}: a gap in what it says"]
