"""Published service vectors: every field, both directions, cut and with octets behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.frames_data import entries, entry_id
from tests.protocol.apdu.drive import describe, drive

VECTORS = entries("vectors_services")


@pytest.mark.parametrize("entry", VECTORS, ids=entry_id)
def test_service_vector(entry: dict[str, Any]) -> None:
    message = drive(bytes.fromhex(entry["apdu"]))
    assert describe(message) == entry["expected"]
