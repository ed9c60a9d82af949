"""What tests of the simulator ask for by name."""

from __future__ import annotations

import pytest

from tests.simulator.asker import Asker


@pytest.fixture
def asker() -> Asker:
    """Client 17 of a fresh meter."""
    return Asker()
