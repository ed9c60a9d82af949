"""What a link counts; noise is kept within bounds."""

from __future__ import annotations

from dlms_mqtt.protocol.framing.statistics import NOISE_KEPT, Statistics


def test_noise_is_counted_whole_and_kept_in_part() -> None:
    statistics = Statistics()
    statistics.add_noise(b"a" * 1000)
    statistics.add_noise(b"b" * 10)
    assert statistics.noise_bytes == 1010
    assert bytes(statistics.noise) == b"a" * (NOISE_KEPT - 10) + b"b" * 10
