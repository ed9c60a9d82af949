"""What a search says of a meter in clear text: the verdict, and nothing that contradicts it."""

from __future__ import annotations

import pytest

from dlms_mqtt.meter.finder import find
from dlms_mqtt.protocol.framing.sign_on import Identification
from tests.fake_clock import FakeClock
from tests.meter.finder_bench import Bench, on_line
from tests.meter.finder_mixtures import READOUT


@pytest.mark.parametrize("confirm", [True, False])
async def test_a_readout_is_not_told_what_only_hdlc_is_about(clock: FakeClock, confirm: bool) -> None:
    said = Identification("ISk", "5", (), "MT174-0001")
    bench = Bench(opening="sign-on", identification=said, readout=READOUT, readout_always=True, confirm=confirm)
    async with on_line(bench, clock) as (open_line, _):
        found = await find({"serial": "bench"}, open_line=open_line)
    assert found.complete
    assert found.diagnosis == "The meter tells its values in clear text after a sign-on (opening: readout)."
    assert "HDLC" not in found.diagnosis
    assert not found.causes
