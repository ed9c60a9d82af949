"""A serial port over Telnet: commands in any pieces, octets that must be escaped, clients that send nonsense."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import RemoteProtocolError
from dlms_mqtt.simulator.lines.telnet import ComPort


@pytest.mark.parametrize("cut", [1, 2, 5, 100])
def test_telnet_commands_may_come_in_pieces(cut: int) -> None:
    stream = (
        bytes.fromhex("fffd2c fffb2c fffd18")  # DO and WILL COM-PORT, DO terminal-type
        + b"a"
        + bytes.fromhex("fffa2c01000025 80fff0")  # 9600 baud
        + bytes.fromhex("fffa2c0303fff0")  # even
        + b"\xff\xffb"
    )
    port = ComPort()
    plain = answers = b""
    for at in range(0, len(stream), cut):
        data, answer = port.receive(stream[at : at + cut])
        plain, answers = plain + data, answers + answer
    assert plain == b"a\xffb"
    assert (port.format.baud, port.format.parity) == (9600, "even")
    assert bytes.fromhex("fffa2c6500002580fff0") in answers
    assert bytes.fromhex("fffc18") in answers
    assert port.escape(b"\xff") == b"\xff\xff"


@pytest.mark.parametrize("command", ["fffa2c0309fff0", "fffa2c01fff0", "fff0", "fffa2c0aff"])
def test_a_telnet_client_that_sends_nonsense_is_left(command: str) -> None:
    port = ComPort()
    with pytest.raises(RemoteProtocolError):
        port.receive(bytes.fromhex(command) + bytes(100))
