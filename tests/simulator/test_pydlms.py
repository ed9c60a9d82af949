"""pydlms-client as a client of our meter: every link, referencing, authentication and ciphering it has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import HLS_SECRET, KEYS, KEYS_256, PASSWORD, SignOnOptions
from tests.simulator.bench import TITLE, frozen_meter, on_a_pty, running

pydlms_client = pytest.importorskip("pydlms.client")
from pydlms.apdu import xdlms  # noqa: E402
from pydlms.cosem.data import DlmsData  # noqa: E402
from pydlms.exceptions import DlmsError  # noqa: E402
from pydlms.image import transfer_image  # noqa: E402
from pydlms.security.context import SecurityContext  # noqa: E402
from pydlms.security.suites import SecurityPolicy  # noqa: E402

ENERGY, CLOCK, LOAD, DAILY = "1.0.1.8.0.255", "0.0.1.0.0.255", "1.0.99.1.0.255", "1.0.99.2.0.255"
COUNTER = iter(range(1000, 1_000_000, 1000))

# client number, authentication, secret, keys, suite
CLIENTS: dict[str, tuple[int, int, Any, Any, int]] = {
    "none": (17, 0, None, None, 0),
    "low": (33, 1, b"87654321", None, 0),
    "hls2": (34, 2, HLS_SECRET, None, 0),
    "md5": (35, 3, HLS_SECRET, None, 0),
    "sha1": (36, 4, HLS_SECRET, None, 0),
    "sha256": (38, 6, HLS_SECRET, None, 0),
    "gmac": (1, 5, None, KEYS, 0),
    "gmac suite 1": (41, 5, None, KEYS, 1),
    "gmac suite 2": (42, 5, None, KEYS_256, 2),
    "ciphered without authentication": (39, 0, None, KEYS, 0),
    "ciphered low": (40, 1, PASSWORD, KEYS, 0),
    "ciphered sha256": (43, 6, HLS_SECRET, KEYS, 0),
}


def settings(name: str, **options: Any) -> dict[str, Any]:
    client, mechanism, secret, keys, suite = CLIENTS[name]
    found: dict[str, Any] = {"client_sap": client, "mechanism": mechanism, "timeout": 5.0}
    if secret is not None:
        found["password"] = bytes(secret)
    if keys is not None:
        found["security"] = SecurityContext(
            bytes(keys.encryption),
            bytes(keys.authentication),
            client_system_title=TITLE,
            invocation_counter=options.pop("counter", next(COUNTER)),
            suite=suite,
            policy=options.pop("policy", SecurityPolicy.AUTHENTICATED_ENCRYPTED),
        )
    elif name == "sha256":
        found["client_system_title"] = TITLE
    return found | options


@pytest.fixture(scope="module")
def meter() -> Any:
    return frozen_meter()


@pytest.fixture(scope="module")
def ports(meter: Any) -> Iterator[dict[str, int]]:
    with running(meter) as wrapper, running(meter, "hdlc") as hdlc, running(meter, udp=True) as udp:
        yield {"wrapper": wrapper, "hdlc": hdlc, "udp": udp}


def client(ports: dict[str, int], link: str, name: str, **options: Any) -> Any:
    chosen = settings(name, **options)
    if link == "udp":
        return pydlms_client.DlmsClient.udp("127.0.0.1", ports[link], **chosen)
    return pydlms_client.DlmsClient.tcp("127.0.0.1", ports[link], hdlc=link == "hdlc", **chosen)


def reads(meter: Any, connected: Any) -> None:
    """Association view, a register with its unit, the clock, a profile whole, by range and by entry."""
    view = {(entry.class_id, str(entry.logical_name)) for entry in connected.get_association_view()}
    assert len(view) == len(meter.objects) - 1  # the association of the other referencing is not seen
    register = connected.get_register(ENERGY)
    assert register.value == reference(meter, ENERGY)
    assert int(register.unit) == 30
    assert connected.get_clock(CLOCK).to_datetime().timestamp() == meter.seconds()
    whole = connected.read_profile(DAILY)
    assert len(whole.rows) == 90
    assert connected.read_profile(DAILY, xdlms.entry_descriptor(2, 4)).rows == whole.rows[1:4]
    start, end = (DlmsData.octet_string(whole.rows[index][0]) for index in (10, 12))
    assert connected.read_profile(DAILY, xdlms.range_descriptor(start, end)).rows == whole.rows[10:13]


def reference(meter: Any, obis: str) -> int:
    from dlms_mqtt.simulator import Context

    item = meter.objects[3, Obis.parse(obis)]
    return int(item.data(Context(meter, meter.associations[17]), 2).value)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_logical_names(meter: Any, ports: dict[str, int], link: str, name: str) -> None:
    with client(ports, link, name) as connected:
        reads(meter, connected)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_short_names(meter: Any, ports: dict[str, int], link: str, name: str) -> None:
    with client(ports, link, name, logical_names=False) as connected:
        reads(meter, connected)


def test_udp(meter: Any, ports: dict[str, int]) -> None:
    with client(ports, "udp", "gmac") as connected:
        reads(meter, connected)


@pytest.mark.parametrize("policy", [SecurityPolicy.AUTHENTICATED, SecurityPolicy.ENCRYPTED])
def test_less_than_all_protection(meter: Any, ports: dict[str, int], policy: Any) -> None:
    """Client 37 asks for no protection and takes what comes; answers are protected as the question was."""
    keys = SecurityContext(
        bytes(KEYS.encryption),
        bytes(KEYS.authentication),
        client_system_title=TITLE,
        invocation_counter=next(COUNTER),
        policy=policy,
    )
    link = {"client_sap": 37, "mechanism": 5, "security": keys, "timeout": 5.0}
    with pydlms_client.DlmsClient.tcp("127.0.0.1", ports["wrapper"], **link) as connected:
        assert connected.get_register(ENERGY).value == reference(meter, ENERGY)


@pytest.mark.parametrize("options", [{"protection": "general-glo"}, {"use_dedicated_key": True}])
def test_forms_of_ciphering(meter: Any, ports: dict[str, int], options: dict[str, Any]) -> None:
    with client(ports, "wrapper", "gmac", **options) as connected:
        reads(meter, connected)


@pytest.mark.parametrize("name", ["none", "gmac"])
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_general_block_transfer(meter: Any, ports: dict[str, int], link: str, name: str) -> None:
    # Over HDLC pydlms does not poll (RR) for the blocks that the meter streams, so it can only take them singly.
    window = 5 if link == "wrapper" else 1
    with client(ports, link, name, propose_gbt=True, gbt_window=window, max_receive_pdu_size=200) as connected:
        reads(meter, connected)
        long_text = DlmsData.octet_string(b"x" * 40)
        connected.set("0.0.96.1.1.255", 1, 2, long_text)
        assert connected.get("0.0.96.1.1.255").value == b"x" * 40


@pytest.mark.parametrize("name", ["none", "gmac"])
def test_blocks_both_ways(ports: dict[str, int], name: str) -> None:
    """A calendar of many days is longer than the meter's APDU, so it is written and read in blocks."""
    days = [day(number) for number in range(1, 60)]
    with client(ports, "wrapper", name, max_receive_pdu_size=128) as connected:
        connected.set("0.0.13.0.0.255", 20, 9, DlmsData.array(days))
        assert len(connected.get("0.0.13.0.0.255", 20, 9).value) == 59


def day(number: int) -> DlmsData:
    action = DlmsData.structure(
        [
            DlmsData.octet_string(bytes((6, 0, 0, 0))),
            DlmsData.octet_string(bytes((0, 0, 10, 0, 100, 255))),
            DlmsData.uint16(1),
        ]
    )
    return DlmsData.structure([DlmsData.uint8(number), DlmsData.array([action])])


@pytest.mark.parametrize("logical", [True, False])
@pytest.mark.parametrize("name", ["none", "low", "gmac"])
def test_lists_writes_methods(meter: Any, ports: dict[str, int], name: str, logical: bool) -> None:
    with client(ports, "wrapper", name, logical_names=logical) as connected:
        wanted = [(ENERGY, 3, 2), ("0.0.42.0.0.255", 1, 2), ("1.0.1.7.0.255", 3, 3), ("1.1.1.1.1.1", 3, 2)]
        if logical:
            found = connected.get_many(wanted)
            assert found[0].value == reference(meter, ENERGY)
            assert not isinstance(found[3], DlmsData)
            results = connected.set_many(
                [
                    ("0.0.96.13.0.255", 1, 2, DlmsData.octet_string(b"hello")),
                    ("1.0.0.4.2.255", 1, 2, DlmsData.uint16(5)),
                    ("1.0.0.4.2.255", 1, 2, DlmsData.uint8(5)),
                ]
            )
            assert [int(result) for result in results] == [0, 0, 12]
        connected.set("0.0.96.13.0.255", 1, 2, DlmsData.octet_string(b"text"))
        assert connected.get("0.0.96.13.0.255").value == b"text"
        with pytest.raises(DlmsError):
            connected.set("1.0.0.4.2.255", 1, 2, DlmsData.uint16(0))
        connected.action("0.0.96.3.10.255", 70, 1, DlmsData.int8(0))
        assert connected.get("0.0.96.3.10.255", 70, 2).value is False
        connected.action("0.0.96.3.10.255", 70, 2, DlmsData.int8(0))
        assert connected.get("0.0.96.3.10.255", 70, 2).value is True


def test_access(meter: Any, ports: dict[str, int]) -> None:
    with client(ports, "wrapper", "gmac", propose_access=True) as connected:
        found = connected.access(
            [
                pydlms_client.AccessGet(ENERGY, 3),
                pydlms_client.AccessSet("0.0.96.13.0.255", 1, 2, DlmsData.octet_string(b"by access")),
                pydlms_client.AccessAction("0.0.1.0.0.255", 8, 3, DlmsData.int8(0)),
                pydlms_client.AccessGet("9.9.9.9.9.9", 1),
            ]
        )
        assert [outcome.ok for outcome in found] == [True, True, True, False]
        assert connected.get("0.0.96.13.0.255").value == b"by access"


def test_many_methods_in_one_request(ports: dict[str, int]) -> None:
    with client(ports, "wrapper", "low") as connected:
        found = connected.action_many(
            [("0.0.96.3.10.255", 70, 1, DlmsData.int8(0)), ("0.0.96.3.10.255", 70, 2, DlmsData.int8(0))]
        )
        assert len(found) == 2


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_image_transfer(meter: Any, ports: dict[str, int], link: str) -> None:
    with client(ports, link, "gmac") as connected:
        result = transfer_image(connected, bytes(range(256)) * 9, b"DMQ-SIM 2.0", activate=True, poll=0.01)
        assert result is not None
        assert connected.get("1.0.0.2.0.255").value == b"DMQ-SIM 2.0"


def test_clock_is_set(ports: dict[str, int]) -> None:
    own = frozen_meter()
    with running(own) as port:
        connected = pydlms_client.DlmsClient.tcp("127.0.0.1", port, **settings("low"))
        with connected:
            connected.set_clock(datetime(2026, 3, 4, 5, 6, 7))
        assert own.now().replace(tzinfo=None) == datetime(2026, 3, 4, 5, 6, 7)


def test_the_counter_is_read_publicly_first(meter: Any, ports: dict[str, int]) -> None:
    chosen = settings("gmac", discover_invocation_counter=True, counter=0)
    with pydlms_client.DlmsClient.tcp("127.0.0.1", ports["wrapper"], **chosen) as connected:
        assert connected.get_register(ENERGY).value == reference(meter, ENERGY)


def test_a_counter_that_does_not_rise_is_refused(ports: dict[str, int]) -> None:
    chosen = settings("gmac")
    with pydlms_client.DlmsClient.tcp("127.0.0.1", ports["wrapper"], **chosen):
        pass
    again = settings("gmac", counter=1)
    with (
        pytest.raises(DlmsError),
        pydlms_client.DlmsClient.tcp("127.0.0.1", ports["wrapper"], **again),
    ):
        pass


@pytest.mark.parametrize("name", ["low", "md5", "sha1", "sha256", "ciphered low"])
def test_a_wrong_password_is_refused(ports: dict[str, int], name: str) -> None:
    chosen = settings(name, password=b"wrong password !")
    with pytest.raises(DlmsError), pydlms_client.DlmsClient.tcp("127.0.0.1", ports["wrapper"], **chosen):
        pass


def test_hdlc_window_and_long_frames(meter: Any) -> None:
    from pydlms.hdlc.connection import HdlcParameters

    sizes = {"max_info_transmit": 512, "max_info_receive": 512, "window_transmit": 3, "window_receive": 3}
    with running(meter, "hdlc", **sizes) as port:
        proposal = HdlcParameters(max_info_tx=512, max_info_rx=512, window_tx=3, window_rx=3)
        chosen = settings("none", hdlc=True, hdlc_parameters=proposal)
        with pydlms_client.DlmsClient.tcp("127.0.0.1", port, **chosen) as connected:
            reads(meter, connected)


def test_on_a_serial_line(meter: Any) -> None:
    with on_a_pty(meter, paced=False) as device:
        chosen = settings("low")
        with pydlms_client.DlmsClient.serial(device, 9600, **chosen) as connected:
            assert connected.get_register(ENERGY).value == reference(meter, ENERGY)


def test_after_a_sign_on(meter: Any) -> None:
    """pydlms signs on at 300 baud and changes the speed by itself; twice, so the meter has to go back in between."""
    with on_a_pty(meter, sign_on=SignOnOptions()) as device:
        for _ in range(2):
            with pydlms_client.DlmsClient.optical(device, **settings("low")) as connected:
                assert connected.get_register(ENERGY).value == reference(meter, ENERGY)
