"""A session that is kept: nothing in it names or opens the meter, whatever breaks off, and it can be read again."""

from __future__ import annotations

import pytest
import yaml

from dlms_mqtt.protocol.framing.seven_bit import strip_parity
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import PASSWORD
from tests.fake_clock import FakeClock
from tests.meter.dumped import SESSIONS, dumped, sign_on_dump


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
