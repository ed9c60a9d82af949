"""What a link counts, and the rubbish that it keeps for a diagnosis."""

from __future__ import annotations

from dataclasses import field

from dlms_mqtt.frozen import dataclass

NOISE_KEPT = 256  # bytes of rubbish that are kept for a diagnosis


@dataclass(slots=True)
class Statistics:
    """What a link has counted since it was made; ``noise`` holds the last rubbish, for a diagnosis."""

    frames: int = 0
    bad_check: int = 0
    noise_bytes: int = 0
    repeats: int = 0
    noise: bytearray = field(default_factory=bytearray)

    def add_noise(self, data: bytes | bytearray) -> None:
        """Count rubbish and keep its end."""
        self.noise_bytes += len(data)
        self.noise += data[-NOISE_KEPT:]
        del self.noise[:-NOISE_KEPT]
