"""Access rights: modes of the older classes, bits of the newer ones, and modes that nobody knows."""

from __future__ import annotations

import pytest

from dlms_mqtt.cosem.access import ATTRIBUTE_MODES, AttributeAccess, MethodAccess


@pytest.mark.parametrize(
    ("mode", "read", "write"),
    [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1), (4, 1, 0), (5, 0, 1), (6, 1, 1), (7, 1, 1), (255, 1, 1)],
)
def test_modes(mode: int, read: int, write: int) -> None:
    """A mode that nobody knows forbids nothing: the meter will say no itself."""
    access = AttributeAccess(mode)
    assert (access.read, access.write) == (bool(read), bool(write))
    assert access.names == (ATTRIBUTE_MODES.get(mode, f"mode {mode}"),)


@pytest.mark.parametrize(
    ("mode", "read", "write", "text"),
    [
        (0, False, False, "no-access"),
        (1, True, False, "read-access"),
        (2, False, True, "write-access"),
        (0x0B, True, True, "read-access, write-access, encrypted-request"),
        (0xFC, False, False, "authenticated-request, encrypted-request, digitally-signed-request, "
         "authenticated-response, encrypted-response, digitally-signed-response"),
    ],
)  # fmt: skip
def test_bits(mode: int, read: bool, write: bool, text: str) -> None:
    access = AttributeAccess(mode, bits=True)
    assert (access.read, access.write, access.text) == (read, write, text)


def test_methods() -> None:
    assert [MethodAccess(mode).invoke for mode in (0, 1, 2, 9)] == [False, True, True, True]
    assert [MethodAccess(mode).text for mode in (0, 1, 2, 9)] == [
        "no-access",
        "access",
        "authenticated-access",
        "mode 9",
    ]
    assert not MethodAccess(4, bits=True).invoke
    assert MethodAccess(5, bits=True).invoke
    assert MethodAccess(5, bits=True).names == ("access", "authenticated-request")
