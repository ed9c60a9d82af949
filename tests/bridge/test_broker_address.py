"""``mqtt.host`` as people write it."""

from __future__ import annotations

import pytest
import voluptuous as vol

from dlms_mqtt.bridge.config.broker_address import broker_of
from dlms_mqtt.bridge.config.rows import section
from dlms_mqtt.bridge.config.sections.bridge import Mqtt


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("localhost", {"host": "localhost"}),
        (" core-mosquitto ", {"host": "core-mosquitto"}),
        ("my_broker.local.", {"host": "my_broker.local."}),
        ("127.0.0.1:1884", {"host": "127.0.0.1", "port": 1884}),
        ("::1", {"host": "::1"}),
        ("fe80::1%eth0", {"host": "fe80::1%eth0"}),
        ("[::1]", {"host": "::1"}),
        ("[::1]:1884", {"host": "::1", "port": 1884}),
        ("mqtt://127.0.0.1", {"host": "127.0.0.1"}),
        ("mqtt://127.0.0.1/", {"host": "127.0.0.1"}),
        ("tcp://broker:1884", {"host": "broker", "port": 1884}),
        ("mqtt://[::1]:1884", {"host": "::1", "port": 1884}),
        ("mqtt://[fe80::1%25eth0]:1884", {"host": "fe80::1%eth0", "port": 1884}),
        ("mqtts://broker", {"host": "broker", "tls": {}}),
        ("ws://broker?a", {"host": "broker", "transport": "websockets", "websocket_path": "/?a"}),
        ("ssl://broker:8884", {"host": "broker", "port": 8884, "tls": {}}),
        ("ws://broker/mqtt", {"host": "broker", "transport": "websockets", "websocket_path": "/mqtt"}),
        (
            "wss://broker:443/a?b=c",
            {"host": "broker", "port": 443, "transport": "websockets", "tls": {}, "websocket_path": "/a?b=c"},
        ),
    ],
)
def test_a_spelling(host, found):
    assert broker_of({"host": host}) == found


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("mqtt://", "empty"),
        ("[]", "empty"),
        ("http://broker", "expected mqtt://"),
        ("mqtt://user:pw@broker", "mqtt.username"),
        ("mqtt://broker/path", "no path"),
        ("mqtt://broker:99999", "Port out of range"),
        ("broker:x", "HOST:PORT"),
        ("broker:0", "from 1 to 65535"),
        ("mqtt://broker:0", "from 1 to 65535"),
        ("1883", "no name or address"),
        ("broker-.lan", "no name or address"),
        ("broker.-lan", "no name or address"),
        ("broker:70000", "from 1 to 65535"),
        ("a b", "no name or address"),
        ("broker/mqtt", "no name or address"),
        ("192.168.1.300", "no name or address"),
        ("192.168.1", "no name or address"),
        ("-broker", "no name or address"),
        ("::1:zz", "no name or address"),
        ("x" * 254, "no name or address"),
        ("x" * 64 + ".de", "no name or address"),
        ("a..b", "no name or address"),
        (".a", "no name or address"),
        ("bröker", "no name or address"),
    ],
)
def test_what_is_no_broker(host, message):
    with pytest.raises(vol.MultipleInvalid) as caught:
        broker_of({"host": host})
    (error,) = caught.value.errors
    assert message in error.msg and error.path == ["host"]
    assert "pw" not in error.msg


def test_two_ports_are_one_too_many():
    assert broker_of({"host": "b:1884", "port": 1884})["port"] == 1884
    assert broker_of({"host": "b:1884", "port": 0})["port"] == 1884
    with pytest.raises(vol.MultipleInvalid, match="leave one of them out"):
        broker_of({"host": "b:1884", "port": 1885})


@pytest.mark.parametrize("host", ["ws://b:9001/x", "wss://b/x?y=z", "mqtts://b"])
def test_what_a_host_says_are_keys_of_the_section(host):
    """What it stands for is taken by the section, too."""
    found = section(Mqtt, prepare=broker_of).convert({"host": host})
    assert found.host == "b" and found.transport == ("websockets" if host.startswith("w") else "tcp")
    assert found.transport == "tcp" or found.websocket_path.startswith("/x")


def test_the_users_own_tls_stays():
    assert broker_of({"host": "mqtts://b", "tls": {"ca": "x"}})["tls"] == {"ca": "x"}


@pytest.mark.parametrize("section", [None, 5, [], {}, {"host": 5}])
def test_what_is_no_text_is_left_to_the_section(section):
    assert broker_of(section) is section
