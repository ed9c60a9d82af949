"""The sign-on of both sides, driven like a port would drive it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.protocol.framing.mode_e import (
    Action,
    Discard,
    Done,
    Failed,
    Goal,
    Listen,
    Send,
    SetSpeed,
    SignOn,
    SignOnServer,
    SignOnSettings,
    Wait,
)
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import BREAK, Identification, encode_readout

METER = Identification("ISK", "5", ("2",), "ME371-2105")
ASK, LINE, ACK = b"/?!\r\n", METER.encode(), b"\x06252\r\n"
FINAL_SPEED = SetSpeed(9600, 8, "none")


def drive(sign_on: SignOn, answer: Callable[[bytes], list[bytes]]) -> list[Action]:
    """Carry out every action; ``answer`` gives the reads that follow a sent message."""
    done: list[Action] = []
    waiting: list[bytes] = []
    for _ in range(1000):
        action = sign_on.next_action()
        done.append(action)
        match action:
            case Send(data):
                waiting += answer(data)
            case Discard():
                waiting.clear()
            case Listen():
                if waiting:
                    sign_on.receive(waiting.pop(0))
                else:
                    sign_on.timeout()
            case Done() | Failed():
                return done
    raise AssertionError("the sign-on never ends")


def sent(actions: list[Action]) -> list[bytes]:
    return [action.data for action in actions if isinstance(action, Send)]


def script(**answers: list[bytes]) -> Callable[[bytes], list[bytes]]:
    table = {ASK: answers.get("ask", []), ACK: answers.get("ack", [])}
    return lambda data: list(table.get(data, []))


@pytest.mark.parametrize(("echo", "confirmed"), [(b"", True), (ASK, False)])
def test_a_confirmation_is_told_from_an_echo(echo: bytes, confirmed: bool) -> None:
    """Both look alike: where the request did not come back, the same octets are the meter's own."""
    sign_on = SignOn(SignOnSettings())
    while not isinstance(sign_on.next_action(), Listen):
        pass
    sign_on.receive(echo + LINE)
    while not isinstance(sign_on.next_action(), Listen):
        pass
    sign_on.receive(ACK)
    assert (sign_on.next_action() == FINAL_SPEED) is confirmed


def test_the_whole_way() -> None:
    actions = drive(SignOn(SignOnSettings(opening_delay=0.5)), script(ask=[LINE], ack=[ACK]))
    assert actions[0] == SetSpeed(300, 7, "even")
    assert actions[1] == Wait(0.5)
    assert sent(actions) == [ASK, ACK]
    # The acknowledgement has left before the speed changes, and nothing old is read after it.
    assert actions[-4:] == [FINAL_SPEED, Wait(0.1), Discard(), Done(METER, 9600)]
    assert actions.index(Wait(0.2)) < actions.index(Send(ACK))


@pytest.mark.parametrize(
    "ask",
    [
        [LINE],
        [LINE[at : at + 1] for at in range(len(LINE))],
        [b"?" + LINE],
        [ASK + LINE],
        [ASK, LINE],
        [ASK[:2], LINE],
        [b"\xff\x00\x80", LINE],
        [LINE[:-2]],  # without its line end
    ],
)
@pytest.mark.parametrize("ack", [[], [ACK], [ACK, ACK], [ACK[:3]], [ACK[:2], ACK[2:]], [b"\xff"]])
def test_echo_rubbish_and_pieces(ask: list[bytes], ack: list[bytes]) -> None:
    actions = drive(SignOn(SignOnSettings()), script(ask=ask, ack=ack))
    assert sent(actions) == [ASK, ACK]
    assert actions[-1] == Done(METER, 9600)
    assert drive(SignOn(SignOnSettings(echo=False)), script(ask=ask, ack=ack))[-1] == Done(METER, 9600)


def test_a_telegram_that_nobody_asked_for_is_no_identification() -> None:
    """A meter that pushes clear text at the speed of the sign-on: its first line looks like an answer."""
    telegram = LINE + b"\r\n" + b"1-0:1.8.1(00185.000*kWh)\r\n" * 3 + b"!\r\n"
    actions = drive(SignOn(SignOnSettings(attempts=1)), script(ask=[telegram]))
    assert isinstance(actions[-1], Failed)
    assert actions[-1].reason == "clear-text"


def test_address_wake_up_and_speed_limit() -> None:
    settings = SignOnSettings(address="12345678", wake_up=bytes(5), max_baud=2400)
    actions = drive(SignOn(settings), lambda data: [LINE] if data == b"/?12345678!\r\n" else [])
    assert sent(actions) == [bytes(5), b"/?12345678!\r\n", b"\x06232\r\n"]
    assert actions[-1] == Done(METER, 2400)
    assert SetSpeed(2400, 8, "none") in actions


def test_silence() -> None:
    actions = drive(SignOn(SignOnSettings(attempts=3)), script())
    assert sent(actions) == [ASK, BREAK, ASK, BREAK, ASK]
    assert isinstance(actions[-1], Failed)
    assert actions[-1].reason == "silent"


def test_the_second_attempt_succeeds() -> None:
    answers = iter([[], [LINE]])
    actions = drive(SignOn(SignOnSettings()), lambda data: next(answers) if data == ASK else [])
    assert sent(actions) == [ASK, BREAK, ASK, ACK]
    assert actions[-1] == Done(METER, 9600)


def test_garbage() -> None:
    actions = drive(SignOn(SignOnSettings(attempts=1)), script(ask=[b"\xaa\x55" * 2000]))
    assert isinstance(actions[-1], Failed)
    assert actions[-1].reason == "garbled"
    assert 0 < len(actions[-1].received) <= 1024


@pytest.mark.parametrize("readout", [encode_readout(b"1.8.0(1)\r\n"), bytes(range(32, 127)) * 3])
def test_clear_text_is_broken_off(readout: bytes) -> None:
    actions = drive(SignOn(SignOnSettings(attempts=2)), script(ask=[LINE], ack=[readout]))
    assert sent(actions) == [ASK, ACK, BREAK, ASK, ACK]
    assert isinstance(actions[-1], Failed)
    assert actions[-1].reason == "clear-text"


def test_parity_that_arrives_as_data() -> None:
    """7E1 octets on a port that stayed 8N1: from there on we add the parity ourselves."""
    actions = drive(SignOn(SignOnSettings()), lambda data: [add_parity(LINE)] if data == ASK else [])
    assert sent(actions) == [ASK, add_parity(ACK)]
    assert isinstance(actions[-1], Done)
    assert actions[-1].identification is not None
    assert actions[-1].identification.parity_seen


def test_parity_in_software() -> None:
    answers = {add_parity(ASK): [add_parity(LINE)], add_parity(ACK): [add_parity(ACK)]}
    actions = drive(SignOn(SignOnSettings(software_parity=True)), lambda data: answers.get(data, []))
    assert actions[0] == SetSpeed(300, 8, "none")
    assert isinstance(actions[-1], Done)


def test_a_meter_that_proposes_no_speed() -> None:
    line = Identification("ABC", "A", (), "X").encode()
    actions = drive(SignOn(SignOnSettings()), lambda data: [line] if data == ASK else [])
    assert isinstance(actions[-1], Done)
    assert actions[-1].baud == 300


def test_the_last_action_stays() -> None:
    sign_on = SignOn(SignOnSettings())
    drive(sign_on, script(ask=[LINE]))
    sign_on.receive(b"late")
    sign_on.timeout()
    assert isinstance(sign_on.next_action(), Done)
    assert isinstance(sign_on.next_action(), Done)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([LINE, ACK, ASK, b"\x02", b"/"]), max_size=30))
def test_any_octets_end_in_done_or_failed(reads: list[bytes]) -> None:
    pieces = iter(reads)
    drive(SignOn(SignOnSettings()), lambda data: [piece for piece in [next(pieces, b""), next(pieces, b"")] if piece])


# The meter's side


def server(**options: object) -> SignOnServer:
    return SignOnServer(METER, **options)  # type: ignore[arg-type]


def test_meter() -> None:
    meter = server(address="12345678")
    assert meter.start() == SetSpeed(300, 7, "even")
    assert meter.receive(b"\0\0/?") == []
    assert meter.receive(b"!\r\n") == [Send(LINE)]
    assert meter.receive(ACK) == [Send(ACK), FINAL_SPEED, Done(None, 9600)]
    assert meter.receive(b"/?12345678!\r\n") == [Send(LINE)]
    assert meter.receive(b"/?999!\r\n") == []
    assert meter.receive(BREAK) == []


def test_meter_without_confirmation() -> None:
    assert server(confirm=False).receive(ACK) == [FINAL_SPEED, Done(None, 9600)]


def test_meter_sends_a_readout() -> None:
    lines = b"1.8.0(1)\r\n"
    assert server(readout=lines).receive(b"\x06050\r\n") == [
        SetSpeed(9600, 7, "even"),
        Wait(0.2),
        Send(encode_readout(lines)),
        SetSpeed(300, 7, "even"),
    ]
    speed = [SetSpeed(9600, 7, "even"), Wait(0.2)]
    assert server().receive(b"\x06051\r\n") == [*speed, Send(BREAK), SetSpeed(300, 7, "even")]
    assert server(programming=True).receive(b"\x06051\r\n") == [*speed, Done(None, 9600, programming=True)]


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("confirm", [False, True])
@pytest.mark.parametrize("reflects", [False, True])
def test_both_sides(parity: bool, confirm: bool, reflects: bool) -> None:
    meter = server(software_parity=parity, confirm=confirm)
    speeds: list[Action] = []

    def answer(data: bytes) -> list[bytes]:
        actions = meter.receive(data)
        speeds.extend(action for action in actions if isinstance(action, SetSpeed))
        return [data] * reflects + sent(actions)

    actions = drive(SignOn(SignOnSettings(software_parity=parity)), answer)
    assert isinstance(actions[-1], Done)
    assert speeds == [FINAL_SPEED]
    assert FINAL_SPEED in actions


CLEAR_TEXT = Identification("ISK", "5", (), "ME162")


@pytest.mark.parametrize(
    ("goal", "identification", "limit", "select", "speed"),
    [
        (Goal.READOUT, METER, None, b"\x06050\r\n", 9600),
        (Goal.READOUT, CLEAR_TEXT, 300, b"\x06000\r\n", 300),
        (Goal.PROGRAMMING, CLEAR_TEXT, None, b"\x06051\r\n", 9600),
        (Goal.READOUT, Identification("ISK", "E", (), "MODE B"), None, b"", 9600),
        (Goal.READOUT, Identification("ISK", " ", (), "MODE A"), None, b"", 300),
    ],
)
def test_clear_text_is_asked_for_as_the_mode_wants_it(
    goal: Goal, identification: Identification, limit: int | None, select: bytes, speed: int
) -> None:
    options = {} if limit is None else {"max_baud": limit}
    sign_on = SignOn(SignOnSettings(goal=goal, **options))
    actions = drive(sign_on, lambda data: [identification.encode() + b"\x02rest"] if data == ASK else [])
    assert sent(actions) == [ASK, *([select] if select else [])]
    assert actions[-2] == SetSpeed(speed, 7, "even")
    done = actions[-1]
    assert isinstance(done, Done) and (done.baud, done.rest) == (speed, b"\x02rest")
