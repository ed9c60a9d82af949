"""Addresses, clients and speeds that are worth a try: in order, once each, within what the user has fixed."""

from __future__ import annotations

import pytest

from dlms_mqtt.meter.finder.candidates import (
    CLIENTS,
    SPEEDS,
    STATIONS,
    Fixed,
    Hints,
    Station,
    clients,
    from_serial,
    hints_of,
    scan,
    stations,
)


def test_tables_hold_each_once_likeliest_first() -> None:
    for rows in ([row[:2] for row in SPEEDS], [row[:3] for row in STATIONS]):
        assert len(set(rows)) == len(rows)
    assert [row.weight for row in SPEEDS] == sorted((row.weight for row in SPEEDS), reverse=True)
    assert SPEEDS[0][:2] == (9600, "none") and next(iter(CLIENTS)) == 16


@pytest.mark.parametrize(
    ("number", "addresses"),
    [
        ("12345678", {(6678, 4), (5678, 4), (5694, 4), (94, 2), (78, 2), (678, 4)}),
        ("LGZ 0012", {(1012, 4), (12, 4), (28, 4), (28, 2), (12, 2)}),
        ("0000", {(1000, 4), (16, 4), (16, 2)}),
        ("none", set()),
    ],
)
def test_addresses_out_of_a_number(number: str, addresses: set[tuple[int, int]]) -> None:
    found = list(from_serial(number))
    assert {(station.physical, station.size) for station in found} == addresses
    assert all(number in station.source for station in found)


def test_what_the_user_fixed_stays_fixed() -> None:
    assert stations(Fixed(server=16, physical=7)) == [Station(16, 7, 0, 1.0, "given")]
    assert stations(Fixed(physical=7, address_size=4)) == [Station(1, 7, 4, 1.0, "given")]
    assert {station.size for station in stations(Fixed(address_size=2))} == {2}
    assert clients(Fixed(client=5)) == {5: 1.0}


def test_hints_and_numbers_go_first() -> None:
    hints = hints_of([("one", {"server": 9, "client": 77}), ("two", {"physical": 3}), ("three", {"serial": "x"})])
    assert hints == Hints(((9, None), (1, 3)), (77,), "one, two, three")
    found = stations(Fixed(), ["12345678"], hints)
    assert [station[:2] for station in found[:3]] == [(1, None), (9, None), (1, 3)]
    assert len({station[:3] for station in found}) == len(found)
    assert any(station.physical == 6678 for station in found[:10])
    assert clients(Fixed(), hints)[77] > clients(Fixed(), hints)[1]
    assert clients(Fixed(), Hints(clients=(16,)))[16] == CLIENTS[16]


def test_the_long_scan() -> None:
    assert [station.physical for station in scan(2)] == list(range(1, 127))
