"""A bounded run of the fuzzer for every parser: no hang, no memory growth, no exception outside our own tree."""

from __future__ import annotations

import pytest

from tests.fuzz.fuzzer import KEPT, fuzz, memory_kept, probe, seeds
from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_any_octets_are_taken_or_refused(name: str) -> None:
    count, findings = fuzz(name, seed=1, rounds=400)
    assert count == 400
    shown = [f"{finding.what}: {finding.data.hex()}" for finding in findings[:3]]
    assert not findings, shown


@pytest.mark.parametrize("name", TARGETS)
def test_published_octets_as_they_are(name: str) -> None:
    assert [finding for octets in seeds()[::3] if (finding := probe(TARGETS[name], octets))] == []


@pytest.mark.parametrize("name", ["stream", "connection hdlc", "connection wrapper", "explain", "unprotect"])
def test_nothing_piles_up(name: str) -> None:
    assert memory_kept(name, seed=2, rounds=150) < KEPT


def test_a_weak_parser_is_found() -> None:
    def weak(data: bytes) -> int:
        return data[3] if data[:1] == b"\x7e" else 0

    found = [probe(Target("weak", weak), octets) for octets in (b"\x7e", b"\x01")]
    assert found[0] is not None
    assert found[0].what.startswith("IndexError")
    assert found[1] is None
