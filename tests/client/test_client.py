"""The client with meters and lines that misbehave: what recovers, what is given up, and what is left behind."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.client.association.association import PROPOSALS, proposal
from dlms_mqtt.client.association.ciphering import COUNTER_OBIS
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.client.settings import ConnectionSettings, parse_settings
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
    TransportError,
)
from dlms_mqtt.protocol.acse.messages import AssociationResult, Diagnostic, ServiceUserDiagnostic
from dlms_mqtt.protocol.apdu.errors import ExceptionResponse
from dlms_mqtt.protocol.apdu.get import GetResponseNormal
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.protocol.framing.hdlc.frame import POLL, Kind, encode_frame
from dlms_mqtt.protocol.framing.mode_e import SignOnServer
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.framing.wrapper import WrapperHeader
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys, Security, key_id
from dlms_mqtt.simulator import MANAGER, Association
from dlms_mqtt.simulator.server.objects import CosemObject
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.client.our_meter import CIPHERED, KEYS, TITLE, WAYS, OurMeter, wrong
from tests.client.scripted import Scripted, accepted
from tests.client.some_objects import CUT_OFF, ENERGY, PROFILE, attribute
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


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
@pytest.mark.parametrize("way", ["public", "low", "md5", "sha1", "sha256", "gmac", "gmac, ciphered", "gmac, suite 2"])
async def test_short_names_of_our_meter(clock: object, way: str, framing: str) -> None:
    async with OurMeter(framing=framing) as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, referencing="sn", **WAYS[way]) as client:
                assert isinstance((await client.get_many([NAME, TIME]))[0], Data)
                assert client.ciphering.counter is None or client.ciphering.counter.value > 1


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


@pytest.mark.parametrize("fault", ["", "lost,after=3,p=0.2", "doubled,after=3,p=0.3", "deaf,after=3,p=0.2"])
@pytest.mark.parametrize("window", [1, 3, 8])
async def test_general_blocks_over_datagrams(clock: object, window: int, fault: str) -> None:
    """One block in a datagram, whatever the window; those that get lost on either way are sent again."""
    text = Data(DataType.OCTET_STRING, b"a label" * 110)
    asked = WAYS["public"] | {"client": 17, "gbt_window": window, "max_pdu": 100, "retries": 8}
    async with OurMeter(*[fault] * bool(fault), framing="wrapper", datagram=True) as meter:
        meter.meter.associate(replace(meter.meter.associations[17], max_pdu=100))
        meter.meter.objects[LABEL.class_id, LABEL.obis].checks = {}
        async with meter.client(**asked) as client:
            await client.set(LABEL, text)
            assert await client.get(LABEL) == text
    heads = [WrapperHeader.decode(datagram) for datagram in meter.line.sent]
    assert [head.length + 8 for head in heads] == [len(datagram) for datagram in meter.line.sent]
    assert meter.times(b"\xe0") > 8


async def test_lists_of_short_names_are_read_once_and_methods_written(clock: object) -> None:
    async with OurMeter() as meter, meter.client(referencing="sn", client=17) as client:
        await client.get(NAME)
        asked = meter.times(b"\x05\x01\x02\xfa\x08")
        assert len(await read_objects(client)) > 20
        assert (asked, meter.times(b"\x05\x01\x02\xfa\x08")) == (1, 1)
        assert len((await read_profile(client, PROFILE, Selection(first=1, count=4))).rows) == 4
        assert await client.invoke(CUT_OFF, Data(DataType.INTEGER, 0)) is None
        assert (await client.get(attribute(70, str(CUT_OFF.obis), 3))).value == 0, "disconnected"


@pytest.mark.parametrize("omit", [False, True])
async def test_our_title_is_left_out_on_request(clock: object, omit: bool) -> None:
    """The meter knows it from the AARQ."""
    form = {"ciphering": "general-global", "omit_system_title": omit}
    async with OurMeter(framing="wrapper") as meter, meter.client(**CIPHERED, **form) as client:
        await client.get(NAME)
    general = [write[8:] for write in meter.line.sent if write[8:9] == b"\xdb"]
    told = b"\xdb\x00" if omit else b"\xdb\x08" + TITLE
    assert len(general) >= 2 and all(apdu.startswith(told) for apdu in general)


async def test_the_trace_shows_a_line_for_each_message(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    """However few octets of a slow line are read at a time."""
    caplog.set_level("DEBUG", "dlms_mqtt.client")
    async with OurMeter() as meter:
        client = meter.client()
        client.transport.read = _octet_by_octet(client.transport)  # type: ignore[method-assign]
        async with client:
            await client.get(NAME)
    came = [message for message in caplog.messages if " < " in message]
    assert len(came) == 4, came  # UA, AARE, the answer, UA
    assert all(re.fullmatch("7e[0-9a-f]+7e", message.split(" < ")[1]) for message in came)


def _octet_by_octet(transport: Any) -> Any:
    read, left = transport.read, bytearray()

    async def one(timeout: float | None) -> bytes:
        if not left:
            left.extend(await read(timeout))
        octet = bytes(left[:1])
        del left[:1]
        return octet

    return one


async def test_the_trace_hides_what_gives_a_password_away(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "dlms_mqtt.client")
    for way in ("low", "coded", "hls"):
        caplog.clear()
        async with OurMeter("echo") as meter, meter.client(**WAYS[way]) as client:
            await client.get(NAME)
        shown = "".join(caplog.messages)
        assert "not shown: a password is among them" in shown
        proofs = [write for write in meter.line.sent if b"\xc3\x01" in write]
        assert len(proofs) == (way != "low")
        assert not any(write.hex() in shown for write in proofs)
        assert WAYS[way]["password"].hex() not in shown


# -- the line ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    ["lost", "doubled", "cut", "garbled", "wrong-check", "noise", "trickle", "merged", "echo", "deaf", "late-answer"],
)
async def test_hdlc_recovers(clock: object, fault: str) -> None:
    async with OurMeter() as meter, meter.client() as client:
        meter.faults.add(fault)
        for _ in range(3):
            assert isinstance(await client.get(NAME), Data)
            assert isinstance((await client.get_many([NAME, TIME]))[1], Data)


@pytest.mark.parametrize("fault", ["lost,times=2", "garbled,times=2", "noise", "echo", "deaf", "odd-ua:empty"])
async def test_hdlc_recovers_while_it_opens(clock: object, fault: str) -> None:
    async with OurMeter(fault) as meter, meter.client() as client:
        assert isinstance(await client.get(NAME), Data)


@FRAMINGS
async def test_silence_is_waited_for_and_no_longer(clock: Any, framing: str) -> None:
    async with OurMeter("silence", framing=framing) as meter:
        client = meter.client(timeout=2.0, retries=2)
        with pytest.raises(ResponseTimeout, match="no answer from memory"):
            await client.open()
        assert clock.monotonic() < 20
    async with OurMeter(framing=framing) as meter, meter.client(timeout=2.0, retries=2) as client:
        meter.faults.add("silence")
        before = clock.monotonic()
        with pytest.raises(ResponseTimeout):
            await client.get(NAME)
        assert clock.monotonic() - before == pytest.approx(6.0 if framing == "hdlc" else 2.0)


async def test_rubbish_is_told_from_silence(clock: object) -> None:
    async with OurMeter("garbled:20,times=99") as meter:
        with pytest.raises(ResponseTimeout, match="octets came from memory, but no valid answer") as caught:
            await meter.client(timeout=1.0, retries=1).open()
        assert caught.value.received
        assert caught.value.reason == "garbled"
        assert "parity" in caught.value.hint


@FRAMINGS
async def test_an_echo_and_nothing_else_is_named(clock: object, framing: str) -> None:
    near, _ = memory_pair()
    near.echo = True
    settings = parse_settings({"serial": "memory", "framing": framing, "timeout": "1s", "retries": "1"})
    client = DlmsClient(settings, transport=near)
    with pytest.raises(ResponseTimeout, match="only our own octets") as caught:
        await client.open()
    assert caught.value.reason == "echo"


class AnswersFrom(OurMeter):
    """A meter whose answers bear another address than the one that was called."""

    async def _serve(self, far: MemoryTransport) -> None:
        write = far.write
        far.write = lambda data: write(self._moved(data))  # type: ignore[method-assign]
        await super()._serve(far)

    def _moved(self, data: bytes) -> bytes:
        if self.framing == "wrapper":
            return data[:2] + b"\x00\x11" + data[4:]
        return encode_frame(Kind.UA | POLL, encode_address(16), encode_address(17))


@FRAMINGS
async def test_an_answer_from_another_address_is_named(clock: object, framing: str) -> None:
    async with AnswersFrom(framing=framing) as meter:
        with pytest.raises(ResponseTimeout, match="from another address") as caught:
            await meter.client(timeout=1.0, retries=1).open()
    assert caught.value.reason == "wrong-address"
    assert "find" in caught.value.hint


async def test_a_link_that_is_refused_is_about_the_address(clock: object) -> None:
    class Disconnected(OurMeter):
        async def _serve(self, far: MemoryTransport) -> None:
            while True:
                await far.read(60.0)
                far.write(frame(Kind.DM))

    async with Disconnected() as meter:
        with pytest.raises(AssociationRefused, match=r"refuses the link .* \(DM\)") as caught:
            await meter.client(timeout=1.0, retries=1).open()
    assert caught.value.reason == "wrong-address"


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


async def test_a_whole_exchange_has_an_end(clock: Any) -> None:
    async with OurMeter() as meter, meter.client(exchange_timeout=3.0, retries=20, timeout=1.0) as client:
        meter.faults.add("silence")
        before = clock.monotonic()
        with pytest.raises(ResponseTimeout, match="longer than 3 s"):
            await client.get(NAME)
        assert clock.monotonic() - before <= 4.0


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


async def test_a_meter_that_restarts_is_opened_again_once(clock: object) -> None:
    async with OurMeter() as meter, meter.client() as client:
        meter.meter.restart()
        assert isinstance(await client.get(NAME), Data)
        assert meter.times(b"\x60\x1d") + meter.times(b"\x60\x1c") + meter.times(b"\x60\x1e") >= 1
    opened = sum(b"\x93" in write[:8] for write in meter.line.sent)
    assert opened == 2


async def test_a_late_answer_is_not_the_next_one(clock: object) -> None:
    for framing in ("hdlc", "wrapper"):
        async with OurMeter(framing=framing) as meter, meter.client(timeout=2.0, retries=0) as client:
            meter.faults.add("late-answer:3")
            with pytest.raises(ResponseTimeout):
                await client.get(NAME)
            assert (await client.get(TIME)).type is DataType.OCTET_STRING
            assert len((await client.get(TIME)).value) == 12


async def test_short_names_cannot_tell_a_late_answer_so_the_line_is_opened_again(clock: object) -> None:
    options = {"timeout": 2.0, "retries": 0, "referencing": "sn"}
    async with OurMeter(framing="wrapper") as meter, meter.client(**options) as client:
        await client.get(NAME)
        meter.faults.add("late-answer:3")
        with pytest.raises(ResponseTimeout):
            await client.get(NAME)
        assert len((await client.get(TIME)).value) == 12


async def test_udp_repeats_a_lost_question(clock: object) -> None:
    async with OurMeter("lost,times=2", framing="wrapper", datagram=True) as meter, meter.client() as client:
        meter.faults.add("deaf")
        assert isinstance(await client.get(NAME), Data)


@pytest.mark.parametrize("referencing", ["ln", "sn"])
@pytest.mark.parametrize("fault", ["lost,after=6", "lost,after=6,times=2", "deaf,after=6"])
async def test_udp_reads_blocks_anew_where_one_was_lost(clock: object, fault: str, referencing: str) -> None:
    """The meter refuses a repeated question for the next block."""
    asked = {"client": 17, "referencing": referencing, "max_pdu": 60}
    async with OurMeter(framing="wrapper", datagram=True) as meter, meter.client(**asked) as client:
        await client.get(NAME)
        text = meter.meter.objects[LABEL.class_id, LABEL.obis].values[2] = Data(DataType.OCTET_STRING, b"a label" * 110)
        meter.faults.add(fault)
        assert await client.get(LABEL) == text
        struck = meter.faults.get(fault.partition(",")[0])
        assert struck is not None
        assert struck.struck == struck.times


# -- frames that end or hold up the link ------------------------------------------------------------------------------


def frame(kind: int, information: bytes = b"") -> bytes:
    """A frame of the meter: to client 16, from server 1."""
    return encode_frame(kind | POLL, b"\x21", b"\x03", information)


class Interrupted(Scripted):
    """Before the first request is looked at, the meter says ``frames``, whatever the rules are."""

    def __init__(self, *frames: bytes, forget: bool = False, **options: Any) -> None:
        super().__init__([(None, ANSWER)], hdlc=True, **options)
        self._frames = list(frames)
        self._forget = forget

    def _take(self, request: Any) -> None:
        if self._frames and request.TAG == 0xC0:
            for item in self._frames:
                self._far.write(item)
            self._frames.clear()
            if self._forget:
                self.link.disconnect()
                while self.link.next_event():
                    pass
                return
        super()._take(request)


@pytest.mark.parametrize("ending", [frame(Kind.DM), frame(Kind.FRMR, bytes((0x10, 0x00, 0x08)))], ids=["DM", "FRMR"])
async def test_a_dropped_link_is_set_up_again_once(clock: object, ending: bytes) -> None:
    async with Interrupted(ending, forget=True) as meter:
        assert await meter.client.get(ENERGY) == NUMBER
        assert [request.TAG for request in meter.requests] == [0x60, 0x60, 0xC0]


async def test_a_write_is_never_repeated_by_itself(clock: object) -> None:
    class Refusing(Interrupted):
        def _take(self, request: Any) -> None:
            if request.TAG == 0xC1:
                self._far.write(frame(Kind.DM))
            super()._take(request)

    meter = Refusing(settings={"retries": 1})
    async with meter:
        with pytest.raises(ConnectionLost, match="disconnected mode"):
            await meter.client.set(ENERGY, NUMBER)
        meter._steps.clear()
    assert sum(request.TAG == 0xC1 for request in meter.requests) == 1


async def test_a_busy_meter_is_waited_for(clock: object) -> None:
    async with Interrupted(frame(Kind.RNR | 0x20)) as meter:
        assert await meter.client.get(ENERGY) == NUMBER


# -- associations -----------------------------------------------------------------------------------------------------


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


async def test_a_refused_release_is_no_error(clock: object) -> None:
    for value in ("silence", "exception"):
        async with OurMeter(f"refuse-release:{value}", framing="wrapper") as meter, meter.client() as client:
            await client.get(NAME)


@pytest.mark.parametrize("how", ["exception", "error"])
async def test_meters_that_refuse_lists_are_remembered(clock: object, how: str) -> None:
    async with OurMeter(f"refuse-lists:{how}") as meter, meter.client() as client:
        assert all(isinstance(answer, Data) for answer in await client.get_many([NAME, TIME, NAME]))
        lists = meter.times(b"\xc0\x03")
        await client.get_many([NAME, TIME])
        assert meter.times(b"\xc0\x03") == lists
        assert client.memory.max_list == 1


async def test_a_list_without_an_answer_is_not_asked_for_twice(clock: object) -> None:
    async with OurMeter("refuse-lists:silence") as meter, meter.client(timeout=1.0) as client:
        for _ in range(2):
            assert all(isinstance(answer, Data) for answer in await client.get_many([NAME, TIME]))
        assert meter.times(b"\xc0\x03") == 1


# -- leaving ----------------------------------------------------------------------------------------------------------


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


# -- counters ---------------------------------------------------------------------------------------------------------


async def test_a_counter_is_adopted_upwards(clock: object) -> None:
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED | {"invocation_counter": 5000}) as client:
                await client.get(NAME)
        with Store(MEMORY) as lost:  # the state file was lost: our counter would begin at 1
            async with meter.client(lost, **CIPHERED) as client:
                assert isinstance(await client.get(NAME), Data)
                assert client.ciphering.counter is not None
                assert client.ciphering.counter.value > 5000


async def test_a_counter_far_away_is_not_adopted(clock: object) -> None:
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED | {"invocation_counter": 3_000_000}) as client:
                await client.get(NAME)
        with Store(MEMORY) as lost, pytest.raises(SecurityError, match="not taken over") as caught:
            await meter.client(lost, **CIPHERED).open()
    assert "dlms-mqtt counter" in caught.value.hint


async def test_a_counter_that_is_not_told_is_an_error_with_a_hint(clock: object) -> None:
    with pytest.raises(ServiceRefused) as caught:
        async with Scripted(aare=ExceptionResponse(1, 6), settings=CIPHERED):
            pass
    assert "counter" in caught.value.hint
    assert "unauthenticated" in str(caught.value)


async def test_the_counter_is_asked_for_through_the_public_client(clock: object) -> None:
    for framing in ("hdlc", "wrapper"):
        async with OurMeter(framing=framing) as meter:
            with Store(MEMORY) as store:
                async with meter.client(store, **CIPHERED | {"invocation_counter": None}) as client:
                    assert isinstance(await client.get(NAME), Data)
                async with meter.client(store, **CIPHERED | {"invocation_counter": None}) as client:
                    assert isinstance(await client.get(NAME), Data)


@pytest.mark.parametrize("number", [0xFFFFFFFF, -1], ids=str)
async def test_a_counter_that_cannot_be_counted_on_is_refused(clock: object, number: int) -> None:
    async with OurMeter() as meter:
        kind = DataType.DOUBLE_LONG_UNSIGNED if number > 0 else DataType.DOUBLE_LONG
        meter.meter.add(CosemObject(1, COUNTER_OBIS, 0, {2: Data(kind, number)}, see=0))
        with Store(MEMORY) as store, pytest.raises(RemoteProtocolError, match="counted on"):
            await meter.client(store, **CIPHERED | {"invocation_counter": None}).open()


@pytest.mark.parametrize("ciphering", ["global", "dedicated", "general-dedicated"])
async def test_command_line_and_bridge_on_one_store_at_the_same_time(tmp_path: Path, ciphering: str) -> None:
    """The open association of the bridge has lower numbers reserved than the command line uses: it goes above them."""
    way = CIPHERED | {"ciphering": ciphering}
    if ciphering == "dedicated":
        way["dedicated_key"] = Secret(b"dedicated-key-16")
    async with OurMeter(framing="wrapper") as meter, OurMeter(framing="wrapper") as second_line:
        second_line.meter = meter.meter
        with Store(tmp_path / "s") as first, Store(tmp_path / "s") as second:
            bridge, command = meter.client(first, **way), second_line.client(second, **way)
            async with bridge:
                await bridge.get(NAME)  # a dedicated key is first used, and its numbers reserved, with a question
                for _ in range(3):
                    async with command:
                        await command.get(NAME)
                        await command.set(TIME, (await command.get(TIME)))
                    if ciphering != "general-dedicated":  # there each association has a key of its own
                        with pytest.raises(ServiceRefused):
                            await bridge.set(LABEL, Data(DataType.OCTET_STRING, b"x"))
                    await bridge.set(LABEL, Data(DataType.OCTET_STRING, b"x"))
                    assert all(isinstance(answer, Data) for answer in await bridge.get_many([NAME, TIME, LABEL]))
            assert bridge.memory.max_list > 1, "a refused counter says nothing about lists"


async def test_a_dedicated_key_has_a_counter_of_its_own(clock: object) -> None:
    """The global key is replaced and counts anew; the dedicated key that stayed must not."""
    kept = Secret(b"dedicated-key-16")
    way = CIPHERED | {"ciphering": "dedicated", "dedicated_key": kept}
    with Store(MEMORY) as store:
        for keys in (KEYS, Keys(Secret(b"another key-16.."), KEYS.authentication)):
            async with OurMeter(framing="wrapper") as meter:
                meter.meter.associate(replace(meter.meter.associations[1], keys=keys))
                async with meter.client(store, **way | {"encryption_key": keys.encryption}) as client:
                    for _ in range(5):
                        await client.get(NAME)
                numbers = [int.from_bytes(data[11:15], "big") for data in meter.line.sent if data[8] == 0xD0]
                assert len(numbers) == 5
                assert client.ciphering.counter is not None
            if keys is KEYS:
                first = numbers
        assert min(numbers) > max(first)
        used = {KEYS.encryption, keys.encryption, kept}
        assert {row.key_id for row in store.counters()} == set(map(key_id, used))


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


@pytest.mark.expect_log("nothing proves who sent them")
async def test_messages_without_a_tag_are_warned_of_once(clock: object, caplog: pytest.LogCaptureFixture) -> None:
    """Not once for each of the associations of a meter that is polled."""
    way = {**CIPHERED, "client": 39, "authentication": "none", "security": "encryption", "accept_unauthenticated": True}
    memory = Memory()
    async with OurMeter(framing="wrapper") as meter:
        with Store(MEMORY) as store:
            for _ in range(3):
                settings = meter.settings(**way)
                async with DlmsClient(settings, transport=meter.line, store=store, memory=memory) as client:
                    await client.get(NAME)
    assert [record.levelname for record in caplog.records if "nothing proves" in record.message] == ["WARNING"]
    assert "memory: Messages are accepted" in caplog.text


@pytest.mark.parametrize("referencing", ["ln", "sn"])
def test_only_what_is_wanted_is_proposed(referencing: str) -> None:
    """General protection and general blocks only where they are configured."""
    keyed: dict[str, Any] = {"encryption_key": KEYS.encryption, "authentication_key": KEYS.authentication}
    both = Conformance.GENERAL_PROTECTION | Conformance.GENERAL_BLOCK_TRANSFER
    for options, wanted in (
        ({}, Conformance(0)),
        ({"ciphering": "general-global"}, Conformance(0)),
        ({"ciphering": "general-global"} | keyed, Conformance.GENERAL_PROTECTION),
        ({"gbt_window": 3}, Conformance.GENERAL_BLOCK_TRANSFER),
    ):
        settings = ConnectionSettings(tcp=("192.0.2.1", 4059), referencing=referencing, **options)
        assert proposal(settings) & both == wanted
        assert proposal(settings) & ~both == PROPOSALS[referencing]


@pytest.mark.parametrize("way", ["gmac, ciphered", "sha256", "gmac"])
async def test_another_meter_than_was_expected(clock: object, way: str) -> None:
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            with pytest.raises(SecurityError, match=b"OTHER001".hex()) as caught:
                await meter.client(store, meter_system_title=b"OTHER001", **WAYS[way]).open()
            assert caught.value.reason == "title"
            async with meter.client(store, meter_system_title=meter.meter.title, **WAYS[way]) as client:
                await client.get(NAME)


# -- idle sessions ----------------------------------------------------------------------------------------------------


async def test_idle_says_when_a_keep_alive_is_due(clock: Any) -> None:
    async with OurMeter() as meter, meter.client() as client:
        before = meter.times(b"\xc0\x01")
        await client.keep_alive()
        await asyncio.sleep(30)
        assert meter.times(b"\xc0\x01") - before == 1
        assert 30 <= client.idle < 31
    assert client.idle == 0.0


# -- what must be refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["encryption_key", "authentication_key"])
async def test_a_wrong_key(clock: object, key: str) -> None:
    async with OurMeter(framing="wrapper") as meter:
        with Store(MEMORY) as store, pytest.raises(ServiceRefused) as caught:
            await meter.client(store, **CIPHERED | {key: wrong(CIPHERED[key])}).open()  # type: ignore[arg-type]
    assert "key is wrong" in caught.value.hint


class Tampered(OurMeter):
    """``tamper`` sees every APDU of the meter behind its wrapper header and gives back what goes on the line."""

    def __init__(self) -> None:
        super().__init__(framing="wrapper")
        self.tamper: Any = None
        self.kept: list[bytes] = []
        self.line.fault = self._shape

    def _shape(self, data: bytes) -> list[tuple[float, bytes]]:
        self.kept.append(data)
        return [(0.0, self.tamper(data) if self.tamper else data)]


async def attacked(*tampers: Any, **options: Any) -> list[BaseException | None]:
    """What the client makes of answers that were tampered with, one after another in one association."""
    async with Tampered() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED | {"retries": 0, "timeout": 1.0} | options) as client:
                await client.get(NAME)
                await client.get(NAME)
                return [await one_attack(meter, client, tamper) for tamper in tampers]


async def one_attack(meter: Tampered, client: Any, tamper: Any) -> BaseException | None:
    meter.tamper = lambda data: tamper(meter, data)
    try:
        await client.get(NAME)
    except (RemoteProtocolError, TransportError, ServiceRefused) as error:
        return error
    finally:
        meter.tamper = None
    return None


def flip(data: bytes, bit: int) -> bytes:
    octets = bytearray(data)
    octets[bit // 8] ^= 1 << bit % 8
    return bytes(octets)


@pytest.mark.parametrize("ciphering", ["global", "general-global"])
async def test_a_flipped_bit_anywhere_is_refused(clock: object, ciphering: str) -> None:
    bits = range(8 * 8, 8 * (8 + 45))

    def flipping(bit: int) -> Any:
        return lambda _, data: flip(data, bit) if bit < 8 * len(data) else data[:-1]

    errors = await attacked(*map(flipping, bits), ciphering=ciphering)
    assert [bit for bit, error in zip(bits, errors, strict=True) if error is None] == [], "bits that were not noticed"


async def test_each_attack_has_its_own_message(clock: object) -> None:
    replayed, older, plain, refusal, none = await attacked(
        lambda meter, _: meter.kept[-2],
        lambda meter, _: meter.kept[-4],
        lambda _, data: data[:6] + b"\x00\x06" + b"\xc4\x01\xc1\x00\x11\x01",
        lambda _, data: data[:6] + b"\x00\x03" + b"\xd8\x01\x03",
        lambda _, data: data,
    )
    (title,) = await attacked(
        lambda _, data: data[:10] + b"EVIL\x00\x00\x00\x01" + data[18:], ciphering="general-global"
    )
    assert none is None, "a good answer is taken after all of them"
    assert [getattr(error, "reason", "") for error in (replayed, older, plain, title)] == [
        "counter",
        "counter",
        "unprotected",
        "title",
    ]
    assert "received before" in str(replayed)
    assert isinstance(refusal, ServiceRefused)
    assert "unauthenticated" in str(refusal)
    assert len({str(error) for error in (replayed, older, plain, title, refusal)}) == 5


@pytest.mark.expect_log("pushes are dropped")
async def test_a_plain_push_in_a_ciphered_association_breaks_nothing(clock: object) -> None:
    push = b"\x0f\x00\x00\x00\x01\x00\x11\x01"

    def before(_: Tampered, data: bytes) -> bytes:
        return data[:6] + len(push).to_bytes(2, "big") + push + data

    assert await attacked(before, before) == [None, None]


async def test_a_meter_that_counts_anew_in_each_association(clock: object) -> None:
    """With a fresh challenge it is taken; without one nothing tells it from an old association played back."""
    for way, accepted_again in (("gmac, ciphered", True), ("none, encrypted", False)):
        async with OurMeter(framing="wrapper") as meter:
            with Store(MEMORY) as store:
                client = meter.client(store, **WAYS[way])
                async with client:
                    await client.get(NAME)
                meter.meter._counter = 0
                if accepted_again:
                    async with client:
                        await client.get(NAME)
                else:
                    with pytest.raises(SecurityError, match="counter"):
                        await client.open()
