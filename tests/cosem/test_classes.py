from __future__ import annotations

import pytest

from dlms_mqtt.cosem.classes import (
    CLASS_NAMES,
    CLASSES,
    RESERVED_BASE_NAMES,
    SCALERS,
    TIMES,
    VALUES,
    InterfaceClass,
    class_name,
    find,
    scaler_attribute,
)
from dlms_mqtt.cosem.rows import ROWS
from dlms_mqtt.protocol.axdr.data import DataType

# The 104 ids of the standard that the peers name together, and Italy's.
KNOWN = {
    1, *range(3, 13), 15, *range(17, 31), *range(40, 49), *range(50, 54), *range(55, 60), *range(61, 66), 67, 68,
    *range(70, 75), 76, 77, *range(80, 87), *range(90, 93), *range(95, 99), *range(100, 106), *range(111, 114), 115,
    116, *range(122, 125), *range(126, 134), *range(140, 144), 151, 152, 153, 160, 161, 162, 8192,
}  # fmt: skip

VERSIONED = [
    # class, version, attributes, last attribute, methods, last method
    (15, 0, 8, "association_status", 4, "remove_object"),
    (15, 1, 9, "security_setup_reference", 4, "remove_object"),
    (15, 2, 11, "current_user", 6, "remove_user"),
    (15, 3, 11, "current_user", 6, "remove_user"),
    (12, 0, 2, "object_list", 8, "reply_to_hls_challenge"),
    (12, 1, 2, "object_list", 8, "reply_to_hls_challenge"),
    (12, 2, 4, "security_setup_reference", 5, "reply_to_hls_authentication"),
    (12, 3, 6, "current_user", 7, "remove_user"),
    (12, 4, 6, "current_user", 7, "remove_user"),
    (7, 0, 8, "profile_entries", 4, "get_buffer_by_index"),
    (7, 1, 8, "profile_entries", 2, "capture"),
    (40, 0, 7, "repetition_delay", 1, "push"),
    (40, 1, 10, "push_protection_parameters", 1, "push"),
    (40, 2, 13, "last_confirmation_date_time", 2, "reset"),
    (40, 3, 13, "last_confirmation_date_time", 2, "reset"),
    (64, 0, 5, "server_system_title", 2, "global_key_transfer"),
    (64, 1, 6, "certificates", 8, "remove_certificate"),
    (72, 0, 12, "alarm", 8, "transfer_key"),
    (72, 1, 14, "encryption_key_status", 8, "transfer_key"),
    (72, 2, 14, "encryption_key_status", 8, "transfer_key"),
]

SHORT_NAME_METHODS = [
    # class, version, method, offset
    (3, 0, "reset", 0x28), (4, 0, "reset", 0x38), (5, 0, "next_period", 0x50), (6, 0, "add_register", 0x30),
    (7, 1, "capture", 0x60), (8, 0, "adjust_to_quarter", 0x60), (8, 0, "shift_time", 0x88), (9, 0, "execute", 0x20),
    (10, 0, "delete", 0x30), (11, 0, "insert", 0x10), (12, 0, "getlist_by_classid", 0x20),
    (12, 3, "read_by_logicalname", 0x30), (12, 3, "reply_to_hls_authentication", 0x58),
    (17, 0, "connect_logical_device", 0x20), (18, 0, "image_activate", 0x58),
    (20, 0, "activate_passive_calendar", 0x50), (40, 0, "push", 0x38), (64, 0, "security_activate", 0x28),
    (64, 1, "security_activate", 0x30), (70, 0, "remote_reconnect", 0x28), (72, 0, "slave_install", 0x60),
    (72, 1, "slave_install", 0x70),
]  # fmt: skip


def test_every_known_class_has_a_name() -> None:
    assert len(KNOWN) == 105
    assert set(CLASS_NAMES) == KNOWN | {66}
    assert len(set(CLASS_NAMES.values())) == 106


def test_how_many_classes_are_modelled() -> None:
    assert len({class_id for class_id, _ in CLASSES}) == 85
    assert len(CLASSES) == sum(len(row.versions) for row in ROWS) == 124


@pytest.mark.parametrize("model", CLASSES.values(), ids=lambda model: f"{model.class_id}v{model.version}")
def test_attributes_and_methods_are_in_order(model: InterfaceClass) -> None:
    assert [item.index for item in model.attributes] == list(range(1, len(model.attributes) + 1))
    assert model.attributes[0].name == "logical_name"
    assert model.attributes[0].type is DataType.OCTET_STRING
    assert [item.short_name_offset for item in model.attributes] == [8 * n for n in range(len(model.attributes))]
    numbers = [item.index for item in model.methods]
    assert numbers == sorted(set(numbers))
    names = [item.name for item in (*model.attributes, *model.methods)]
    assert all(name.isidentifier() and name == name.lower() for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("model", CLASSES.values(), ids=lambda model: f"{model.class_id}v{model.version}")
def test_short_names_of_methods_do_not_meet_attributes(model: InterfaceClass) -> None:
    offsets = [item.short_name_offset for item in model.methods if item.short_name_offset is not None]
    assert not set(offsets) & {item.short_name_offset for item in model.attributes}


@pytest.mark.parametrize(("class_id", "version", "count", "last", "method_count", "last_method"), VERSIONED)
def test_versions(class_id: int, version: int, count: int, last: str, method_count: int, last_method: str) -> None:
    model = CLASSES[class_id, version]
    assert (len(model.attributes), model.attributes[-1].name) == (count, last)
    assert (len(model.methods), model.methods[-1].name) == (method_count, last_method)


@pytest.mark.parametrize(("class_id", "version", "method", "offset"), SHORT_NAME_METHODS)
def test_short_names_of_methods(class_id: int, version: int, method: str, offset: int) -> None:
    found = CLASSES[class_id, version].method(method)
    assert found is not None
    assert found.short_name_offset == offset


def test_find_takes_the_nearest_version() -> None:
    newest, unknown, oldest = find(15), find(15, 9), find(29, 0)
    assert newest is not None and newest.version == 3
    assert unknown is not None and unknown.version == 3
    assert oldest is not None and oldest.name == "PSTN auto dial"
    assert find(72, 0) is CLASSES[72, 0]
    assert find(95) is None


def test_lookup_by_number_and_name() -> None:
    clock = find(8)
    assert clock is not None
    assert clock.attribute("time") is clock.attribute(2)
    assert clock.attribute(10) is None
    assert clock.method("shift_time") is clock.method(6)
    assert clock.attributes[1].type is DataType.OCTET_STRING


def test_names() -> None:
    assert class_name(3) == "Register"
    assert class_name(9999) == "class 9999"
    # Association SN, script table, SAP assignment, logical device name (dlms.com, FAQ: its base name is FD00).
    assert {name: row[0] for name, row in RESERVED_BASE_NAMES.items()} == {
        0xFA00: 12,
        0xFB00: 9,
        0xFC00: 17,
        0xFD00: 1,
    }
    assert RESERVED_BASE_NAMES[0xFD00][1] == "0.0.42.0.0.255"


models = pytest.mark.parametrize("model", CLASSES.values(), ids=lambda model: f"{model.class_id}v{model.version}")


@models
def test_every_row_with_a_scaler_says_what_it_scales(model: InterfaceClass) -> None:
    """Who adds a class with ``scaler_unit`` marks the value, or this fails; nothing else has to be touched."""
    scaled = [item for item in model.attributes if item.meaning in ("value", "values")]
    assert {item.meaning for item in model.attributes} <= {"", "value", "values", "time"}
    if model.attribute("scaler_unit") is None:
        assert all(scaler_attribute(model.class_id, item.index) is None for item in model.attributes)
        return
    assert scaled, f"{model.name}: which attribute does scaler_unit scale? Write /value behind its type"
    for item in model.attributes:
        found = scaler_attribute(model.class_id, item.index)
        assert found == (model.attribute("scaler_unit").index if item in scaled else None)


@models
def test_versions_of_a_class_mean_the_same(model: InterfaceClass) -> None:
    assert tuple(item.index for item in model.attributes if item.meaning == "value") == VALUES.get(model.class_id, ())
    assert tuple(item.index for item in model.attributes if item.meaning == "time") == TIMES.get(model.class_id, ())


def test_what_the_attributes_mean() -> None:
    assert VALUES == {1: (2,), 3: (2,), 4: (2,), 5: (2, 3), 8: (2,), 67: (7,), 70: (3,), 71: (3,), 72: (9,)}
    assert TIMES == {4: (5,), 5: (6,), 67: (10,)}
    assert SCALERS == {3: 3, 4: 3, 5: 4, 61: 4, 67: 8}
    assert scaler_attribute(67, 7) == 8 and scaler_attribute(61, 2) == 4 and scaler_attribute(3, 3) is None
