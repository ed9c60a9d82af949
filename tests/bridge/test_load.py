from __future__ import annotations

import dataclasses
import os
from decimal import Decimal
from pathlib import Path

import pytest

from dlms_mqtt.bridge.config.kinds import AT, DURATION, INTERVAL, SECRET
from dlms_mqtt.bridge.config.load import ConfigMistakes, default_state_dir, load_config, managed_file, parse_meter
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.config.sections.item import Item, item_of_text
from dlms_mqtt.bridge.config.transform import parse_transform
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.presets.preset import preset_connection

DESIGN = """
bridge:
  id: main
  state_dir: {state}
  management: true
  timezone: Europe/Vienna
mqtt:
  host: localhost
  username: dlms
  password: !secret mqtt_password
  base_topic: dlms_mqtt
  discovery: {{enabled: true, prefix: homeassistant, language: en}}
meters:
  house:
    name: House meter
    preset: generic
    connection:
      serial: /dev/serial/by-id/usb-FTDI_probe-if00-port0
      framing: hdlc
      opening: sign-on
      client: 32
      server: 1
      authentication: low
      password: !secret meter_password
    supply: {{phases: 3, amperes: 63}}
    every: 30s
    read:
      set: core
      except: []
      also:
        - {{obis: 1.0.32.7.0.255, every: 10s}}
        - {{obis: 0.0.94.34.11.255, class: 1, attribute: 2, key: tariff, writable: true, values: {{1: day, 2: night}}}}
        - {{obis: 1.0.15.8.0.255, key: odd_one, transform: "value / 1000", unit: kWh}}
    actions:
      reconnect: {{obis: 0.0.96.3.10.255, method: 2, name: Reconnect supply, confirm: true}}
    allow: []
    profiles:
      - {{obis: 1.0.99.1.0.255, key: load_profile, every: 1h, backfill: 30d}}
    push: {{listen: "tcp://0.0.0.0:4059", match: {{system_title: 4B414D4500000001}}}}
"""


def _presets(name):
    if name == "unknown":
        raise ConfigError("there is no preset 'unknown'")
    return {"client": 1, "baud": 300} if name == "generic" else {"tcp": ("preset.example", 4059)}


def _load(tmp_path, text):
    (tmp_path / "secrets.yaml").write_text('mqtt_password: geheim\nmeter_password: "text:12345678"\nnumber: 12345678\n')
    (tmp_path / "secrets.yaml").chmod(0o600)
    (tmp_path / "c.yaml").write_text(text.replace("{state}", str(tmp_path / "state")))
    return load_config(tmp_path / "c.yaml", _presets, {})


def _mistakes(tmp_path, text):
    with pytest.raises(ConfigMistakes) as error:
        _load(tmp_path, text)
    return error.value


def test_the_configuration_of_the_design(tmp_path):
    loaded = _load(tmp_path, DESIGN.replace("{{", "{").replace("}}", "}"))
    meter = loaded.config.meters["house"]
    assert loaded.config.mqtt.password == b"geheim"
    assert loaded.connections["house"].client == 32
    assert loaded.connections["house"].baud == 300
    assert loaded.connections["house"].password == b"12345678"
    assert meter.every == 30 and meter.read.also[0].every == 10
    assert meter.read.also[1].values == {1: "day", 2: "night"}
    assert meter.read.also[2].transform(Decimal(1234)) == Decimal("1.234")
    assert meter.profiles[0].backfill == 30 * 86400
    assert meter.push.match.system_title == "4B414D4500000001"
    assert "geheim" not in repr(loaded) and "12345678'" not in repr(loaded)


def test_a_minimal_configuration(tmp_path):
    loaded = _load(tmp_path, "meters: {house: {connection: {tcp: meter.example}}}\nbridge: {state_dir: x}")
    assert loaded.connections["house"].tcp == ("meter.example", 4059)
    assert loaded.config.meters["house"].read.set == "core"


def test_an_empty_configuration_is_one(tmp_path):
    config = _load(tmp_path, "").config
    assert config.mqtt.discovery.language == "en"  # until Home Assistant says another
    left_open = dataclasses.replace(config.mqtt, discovery=dataclasses.replace(config.mqtt.discovery, language="auto"))
    assert dataclasses.replace(config, mqtt=left_open) == Config()


def test_all_mistakes_come_at_once_with_file_line_and_key(tmp_path):
    text = """\
bridge: {id: Main, managment: true}
mqtt:
  port: 70000
  password: !secret number
meters:
  house:
    every: 30
    conection: {}
    connection:
      tcp: meter.example
      bawd: 9600
      password: 12345678
    read:
      also:
        - {obis: 1.0.1.8.0.300, at: "25:00"}
  Two: {}
"""
    error = _mistakes(tmp_path, text)
    found = {(item.line, item.key): item.message for item in error.mistakes if item.file.endswith("c.yaml")}
    assert "lower-case letters" in found[1, "bridge.id"]
    assert "did you mean 'management'" in found[1, "bridge.managment"]
    assert "0 to 65535" in found[3, "mqtt.port"]
    assert "10s, 5m" in found[7, "meters.house.every"]
    assert "did you mean 'connection'" in found[8, "meters.house.conection"]
    assert "did you mean 'baud'" in found[11, "meters.house.connection.bawd"]
    assert "unquoted number" in found[12, "meters.house.connection.password"]
    assert "OBIS" in found[15, "meters.house.read.also[0].obis"]
    assert "time of day" in found[15, "meters.house.read.also[0].at[0]"]
    assert "lower-case" in found[16, "meters.Two"]
    (secret,) = [item for item in error.mistakes if item.file.endswith("secrets.yaml")]
    assert (secret.line, secret.key) == (3, "mqtt.password") and "unquoted number" in secret.message
    assert "12345678" not in error.message.replace("password: 12345678", "")
    assert error.message.count("\n") == len(error.mistakes) - 1


def test_a_list_tells_the_mistakes_of_all_its_rows(tmp_path):
    text = """\
meters:
  house:
    connection: {tcp: meter.example}
    read:
      also:
        - {obis: 1.0.1.8.0, key: Bad}
        - {obis: 1.0.2.8.0}
        - {obis: 1.0.3.8.300, every: soon}
    allow: [write, read]
"""
    assert [(item.line, item.key) for item in _mistakes(tmp_path, text).mistakes] == [
        (6, "meters.house.read.also[0].key"),
        (8, "meters.house.read.also[2].obis"),
        (8, "meters.house.read.also[2].every"),
        (9, "meters.house.allow[1]"),
    ]


def test_what_came_from_a_secret_is_not_repeated(tmp_path):
    error = _mistakes(tmp_path, "mqtt: {port: !secret mqtt_password}")
    assert "geheim" not in error.message
    assert "hidden" in error.message


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("meters: {h: {}}", "meters.h.connection", "expected serial, tcp or udp"),
        ("meters: {h: {connection: {tcp: a, serial: b}}}", "meters.h.connection.serial", "one line only"),
        (
            "meters: {h: {connection: {tcp: a, authentication: low}}}",
            "meters.h.connection.password",
            "needs a password",
        ),
        ("meters: {h: {preset: unknown, connection: {tcp: a}}}", "meters.h.preset", "no preset"),
        ("meters: {h: {connection: {tcp: a}, read: {also: [{key: a}]}}}", "meters.h.read.also[0]", "needs an obis"),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0, key: status}]}}}",
            "meters.h.read.also[0].key",
            "own entity",
        ),
        ("meters: {h: {connection: {tcp: a}, actions: {a: {}}}}", "meters.h.actions.a", "needs an obis"),
        ("meters: {h: {connection: {tcp: a}, profiles: [{}]}}", "meters.h.profiles[0]", "needs an obis"),
        (
            "meters: {h: {connection: {tcp: a}, profiles: [{obis: 1.0.99.1.0, every: 1h, at: '00:05'}]}}",
            "meters.h.profiles[0].at",
            "exclude",
        ),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0, every: 1h, at: '00:05'}]}}}",
            "meters.h.read.also[0].at",
            "exclude",
        ),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0, min: 1}]}}}",
            "meters.h.read.also[0].min",
            "belong together",
        ),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0, min: 2, max: 1}]}}}",
            "meters.h.read.also[0].min",
            "greater",
        ),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0, transform: value, values: {1: a}}]}}}",
            "meters.h.read.also[0].transform",
            "exclude",
        ),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0, transform: 'open(1)'}]}}}",
            "meters.h.read.also[0].transform",
            "arithmetic",
        ),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0, key: a}, {obis: 1.0.2.8.0, key: a}]}}}",
            "meters.h.read",
            "two items have the key a",
        ),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0}, 1-0:1.8.0]}}}",
            "meters.h.read",
            "two items have the key of 1.0.1.8.0.255:2",
        ),
        (
            "meters: {h: {connection: {tcp: a}, profiles: [{obis: 1.0.99.1.0, key: p}, {obis: 1.0.99.2.0, key: p}]}}",
            "meters.h.profiles",
            "two profiles have the key p",
        ),
        ("meters: {h: {push: {listen: 'ftp://a'}}}", "meters.h.push.listen", "no address to listen on"),
        ("meters: {h: {push: {listen: 'tcp://a:x'}}}", "meters.h.push.listen", "HOST:PORT"),
        (
            "meters: {h: {push: {listen: 'tcp://a:1', match: {system_title: 4B41}}}}",
            "meters.h.push.match.system_title",
            "16 hexadecimal digits",
        ),
        ("meters: {h: {connection: {tcp: a}, supply: {amperes: -1}}}", "meters.h.supply.amperes", "above 0"),
        (
            "meters: {h: {connection: {tcp: a}, replaces: g}, g: {connection: {tcp: b}}}",
            "meters",
            "'g' is replaced and still there",
        ),
        (
            "meters: {h: {connection: {tcp: a}, replaces: f}, g: {connection: {tcp: b}, replaces: f}}",
            "meters",
            "two meters replace 'f'",
        ),
        ("meters: {h: {connection: {tcp: a}, derive: {a: 'b c'}}}", "meters.h.derive.a.value", "expected arithmetic"),
        ("meters: {h: {connection: {tcp: a}, derive: {a: '1 + 1'}}}", "meters.h.derive.a.value", "at least one key"),
        ("meters: {h: {connection: {tcp: a}, derive: {a: 'a + b'}}}", "meters.h.derive", "computed of itself"),
        ("meters: {h: {connection: {tcp: a}, derive: {status: b}}}", "meters.h.derive", "the key of something else"),
        ("meters: {h: {connection: {tcp: a}, replaces: A_b}}", "meters.h.replaces", "lower-case"),
        ("meters: {h: {connection: {tcp: a}, timezone: Mars/Base}}", "meters.h.timezone", "time zone"),
        ("meters: [1]", "meters", "expected <id>"),
        ("bridge: 5", "bridge", "expected keys such as id"),
        ("mqtt: {base_topic: 'a/+/b'}", "mqtt.base_topic", "without the wildcards"),
        ("mqtt: {base_topic: 'dlms/'}", "mqtt.base_topic", "without / at its ends"),
        ("mqtt: {base_topic: /dlms}", "mqtt.base_topic", "without / at its ends"),
        ("mqtt: {base_topic: a//b}", "mqtt.base_topic", "none doubled"),
        ("mqtt: {base_topic: $SYS/x}", "mqtt.base_topic", "does not begin with $"),
        ('mqtt: {base_topic: "a\\0b"}', "mqtt.base_topic", "control characters"),
        ("mqtt: {base_topic: a b}", "mqtt.base_topic", "without blanks"),
        ("mqtt: {base_topic: ''}", "mqtt.base_topic", "expected a topic"),
        ("mqtt: {base_topic: " + 257 * "x" + "}", "mqtt.base_topic", "at most 256"),
        ('mqtt: {base_topic: "a\\uFFFF"}', "mqtt.base_topic", "control characters"),
        ('mqtt: {client_id: "a\\0b"}', "mqtt.client_id", "without control characters"),
        ('mqtt: {username: "a\\n"}', "mqtt.username", "without control characters"),
        ("mqtt: {password: 'hex:ff'}", "mqtt.password", "that is text"),
        ("mqtt: {websocket_path: /a b}", "mqtt.websocket_path", "without blanks"),
        ('mqtt: {websocket_headers: {a: "b\\r\\nc: d"}}', "mqtt.websocket_headers.a", "without control characters"),
        ("mqtt: {keepalive: 100000s}", "mqtt.keepalive", "from 0s to 65535s"),
        ("mqtt: {protocol: 4.1}", "mqtt.protocol", "one of auto, 5, 3.1.1"),
        ("mqtt: {protocol: true}", "mqtt.protocol", "one of auto, 5, 3.1.1"),
        ("mqtt: {host: ''}", "mqtt.host", "not an empty text"),
        ("mqtt: {host: 'mqtt://u:p@h'}", "mqtt.host", "keys of their own"),
        ("mqtt: {host: 'h:1884', port: 1885}", "mqtt.port", "leave one of them out"),
        (
            "meters: {h: {connection: {tcp: a}, read: {also: [{obis: 1.0.1.8.0, unit: KWh}]}}}",
            "meters.h.read.also[0].unit",
            "did you mean 'kWh'?",
        ),
        ("mqtt: {tls: {key: a}}", "mqtt.tls.key", "certificate beside"),
        ("mqtt: {tls: {ca: /nowhere/ca.pem}}", "mqtt.tls.ca", "/nowhere/ca.pem cannot be read: No such file"),
        ("mqtt: {discovery: {language: tlh}}", "mqtt.discovery.language", "en, cs, da, de"),
        ("mqtt: {host: 5}", "mqtt.host", "quotes"),
        ("[1, 2]", "", "expected keys"),
    ],
)
def test_each_mistake(tmp_path, text, key, message):
    (mistake,) = _mistakes(tmp_path, text).mistakes
    assert mistake.key == key
    assert message in mistake.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{protocol: 5}", ("localhost", 1883, "5", False)),
        ("{protocol: v3.1.1}", ("localhost", 1883, "3.1.1", False)),
        ("{host: 'mqtt://127.0.0.1'}", ("127.0.0.1", 1883, "auto", False)),
        ("{host: '127.0.0.1:1884'}", ("127.0.0.1", 1884, "auto", False)),
        ("{host: '[::1]'}", ("::1", 1883, "auto", False)),
        ("{host: 'mqtts://broker'}", ("broker", 8883, "auto", True)),
    ],
)
def test_the_broker_as_people_write_it(tmp_path, text, expected):
    mqtt = _load(tmp_path, f"mqtt: {text}").config.mqtt
    assert (mqtt.host, mqtt.broker_port, mqtt.protocol, bool(mqtt.tls)) == expected


def test_the_state_is_beside_the_configuration(tmp_path, monkeypatch):
    for folder in ("one", "two", "home"):
        (tmp_path / folder).mkdir()
    for folder in ("one", "two"):
        monkeypatch.chdir(tmp_path / folder)
        loaded = _load(tmp_path / "home", "bridge: {state_dir: ./state}")
        assert loaded.config.bridge.state_dir == tmp_path / "home" / "state"
        assert not loaded.warnings
    absolute = _load(tmp_path / "home", "bridge: {state_dir: /var/lib/x}").config.bridge.state_dir
    assert absolute == Path("/var/lib/x")


def test_a_state_of_the_version_before_goes_on_in_the_working_directory(tmp_path, monkeypatch):
    """It was relative to the working directory: counters and managed meters must not be lost."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work" / "state" / "meters").mkdir(parents=True)
    (tmp_path / "work" / "state" / "state.sqlite").touch()
    (tmp_path / "work" / "state" / "meters" / "m.yaml").write_text("connection: {tcp: a}\n")
    monkeypatch.chdir(tmp_path / "work")
    loaded = _load(tmp_path / "home", "bridge: {state_dir: state}")
    assert loaded.config.bridge.state_dir == tmp_path / "work" / "state"
    assert loaded.managed == {"m"}
    assert f"move it to {tmp_path / 'home' / 'state'}" in loaded.warnings[0]
    (tmp_path / "work" / "state").rename(tmp_path / "home" / "state")
    loaded = _load(tmp_path / "home", "bridge: {state_dir: state}")
    assert loaded.config.bridge.state_dir == tmp_path / "home" / "state" and not loaded.warnings


def test_a_line_of_ones_own_replaces_the_preset_line(tmp_path):
    loaded = _load(tmp_path, "meters: {h: {preset: lined, connection: {serial: /dev/x}}}")
    assert loaded.connections["h"].tcp is None


def test_managed_meters_are_loaded_and_the_users_own_goes_first(tmp_path):
    (tmp_path / "state/meters").mkdir(parents=True)
    for name in ("flat", "house"):
        (tmp_path / f"state/meters/{name}.yaml").write_text("connection: {tcp: managed.example}\n")
    text = "bridge: {state_dir: {state}}\nmeters: {house: {connection: {tcp: own.example}}}"
    loaded = _load(tmp_path, text)
    assert loaded.managed == {"flat", "house"} - {"house"}
    assert loaded.connections["house"].tcp[0] == "own.example"
    assert loaded.connections["flat"].tcp[0] == "managed.example"


def test_a_mistake_in_a_managed_meter_names_its_file(tmp_path):
    (tmp_path / "state/meters").mkdir(parents=True)
    (tmp_path / "state/meters/flat.yaml").write_text("connection: {tcp: a}\nevry: 1s\n")
    error = _mistakes(tmp_path, "bridge: {state_dir: {state}}")
    assert error.mistakes[0].file.endswith("flat.yaml") and error.mistakes[0].line == 2


@pytest.mark.parametrize("name", ["BAD NAME", "a+b", "#", "ü", "House"])
def test_the_name_of_a_managed_meters_file_is_an_id(tmp_path, name):
    """It stands in topics and unique ids."""
    (tmp_path / "state/meters").mkdir(parents=True)
    (tmp_path / f"state/meters/{name}.yaml").write_text("connection: {tcp: a}\n")
    path = tmp_path / "config.yaml"
    path.write_text(f"bridge: {{state_dir: {tmp_path}/state}}\nmeters: {{house: {{connection: {{tcp: b}}}}}}\n")
    loaded = load_config(path, _presets, {}, strict=False)
    assert set(loaded.config.meters) == {"house"}
    assert (
        "lower-case letters, digits and hyphens" in loaded.broken[name].message and name in loaded.broken[name].message
    )


def test_a_state_in_the_home_folder(tmp_path, monkeypatch):
    """It was a folder named ~ beside the configuration; one that is there goes on."""
    monkeypatch.setenv("HOME", "/home/me")
    assert _load(tmp_path, "bridge: {state_dir: ~/state}").config.bridge.state_dir == Path("/home/me/state")
    unknown = _load(tmp_path, "bridge: {state_dir: ~nobody-of-that-name/state}").config.bridge.state_dir
    assert unknown == tmp_path / "~nobody-of-that-name" / "state"
    (tmp_path / "~" / "state").mkdir(parents=True)
    assert _load(tmp_path, "bridge: {state_dir: ~/state}").config.bridge.state_dir == tmp_path / "~" / "state"


def test_a_managed_meter_that_is_a_pipe_is_not_waited_for(tmp_path):
    file = managed_file(tmp_path / "state", "pipe")
    file.parent.mkdir(parents=True)
    os.mkfifo(file)
    (tmp_path / "config.yaml").write_text("bridge: {state_dir: state}\n")
    loaded = load_config(tmp_path / "config.yaml", _presets, {}, strict=False)
    assert "a pipe" in str(loaded.broken["pipe"])


def test_a_managed_meter_of_megabytes_is_not_read(tmp_path):
    """A bridge that reads it for minutes looks dead."""
    (tmp_path / "state/meters").mkdir(parents=True)
    with (tmp_path / "state/meters/flat.yaml").open("wb") as file:
        file.truncate(50_000_000)
    path = tmp_path / "config.yaml"
    path.write_text(f"bridge: {{state_dir: {tmp_path}/state}}\nmeters: {{house: {{connection: {{tcp: b}}}}}}\n")
    loaded = load_config(path, _presets, {}, strict=False)
    assert set(loaded.config.meters) == {"house"} and "octets" in loaded.broken["flat"].message


@pytest.mark.parametrize("text", [b"\x00\xff{{{", b"", b"connection: {tcp: a, client: 999999}", b"5", b"every: 1s"])
def test_a_damaged_managed_meter_is_left_out(tmp_path, text):
    """``run`` goes on with the others; ``check`` names the mistake."""
    (tmp_path / "state/meters").mkdir(parents=True)
    (tmp_path / "state/meters/flat.yaml").write_bytes(text)
    (tmp_path / "state/meters/shed.yaml").write_text("connection: {tcp: a}\n")
    path = tmp_path / "config.yaml"
    path.write_text(f"bridge: {{state_dir: {tmp_path}/state}}\nmeters: {{house: {{connection: {{tcp: b}}}}}}\n")
    loaded = load_config(path, _presets, {}, strict=False)
    assert set(loaded.config.meters) == {"house", "shed"} and loaded.managed == {"shed"}
    assert loaded.broken["flat"].mistakes[0].file.endswith("flat.yaml")
    with pytest.raises(ConfigMistakes) as caught:
        load_config(path, _presets, {})
    assert caught.value.file.endswith("flat.yaml")


@pytest.mark.parametrize(
    "text",
    [
        b"A" * 200_000,
        b"connection: {tcp: a}\nevery: " + b"1" * 200_000,
        b"connection: {tcp: a}\n? " + b"k" * 2000 + b"\n: 1",
        b"connection: {tcp: " + b"a" * 200_000 + b"}",
        b"connection: {tcp: a, client: '" + b"x" * 200_000 + b"'}",
    ],
    ids=["a word", "a number", "a key", "an address", "a client"],
)
def test_a_mistake_about_much_text_is_told_in_few_words(tmp_path: Path, text: bytes) -> None:
    """They go into log, health and pages."""
    (tmp_path / "state/meters").mkdir(parents=True)
    (tmp_path / "state/meters/flat.yaml").write_bytes(text)
    (tmp_path / "config.yaml").write_text("bridge: {state_dir: state}\n")
    loaded = load_config(tmp_path / "config.yaml", preset_connection, {}, strict=False)
    assert 20 < len(str(loaded.broken["flat"])) < 2000


def test_a_managed_meter_finds_its_own_preset_beside_the_configuration(tmp_path):
    (tmp_path / "state/meters").mkdir(parents=True)
    (tmp_path / "own.yaml").write_text("connection: {client: 17}\n")
    (tmp_path / "state/meters/flat.yaml").write_text("{preset: ./own.yaml, connection: {tcp: a}}\n")
    (tmp_path / "config.yaml").write_text("bridge: {state_dir: state}\n")
    loaded = load_config(tmp_path / "config.yaml", preset_connection, {}, strict=False)
    assert not loaded.broken and loaded.connections["flat"].client == 17


def test_the_short_spellings():
    assert item_of_text("3/1-0:1.8.0*255:2") == {"obis": "1-0:1.8.0*255", "class": "3", "attribute": "2"}
    assert item_of_text("1-0:1.8.0") == {"obis": "1-0:1.8.0"}
    assert item_of_text("1.0.1.8.0.255:3") == {"obis": "1.0.1.8.0.255", "attribute": "3"}
    assert item_of_text("energy_import") == {"obis": "1.0.1.8.0.255", "attribute": 2}
    assert item_of_text("1-0:1.8.0:scaler_unit") == {"obis": "1-0:1.8.0", "attribute": "3"}
    assert item_of_text({"obis": "clock_status", "every": "1h"}) == {
        "obis": "0.0.1.0.0.255",
        "attribute": 4,
        "every": "1h",
    }
    assert item_of_text({"obis": "energy_import", "attribute": 3})["attribute"] == 3
    meter, _ = parse_meter("h", {"connection": {"tcp": "a"}, "read": ["1.0.1.8.0.255"]}, _presets)
    assert meter.read.set == "none" and meter.read.also == (Item(obis=meter.read.also[0].obis),)
    assert parse_meter("h", {"connection": {"tcp": "a"}, "read": "all"}, _presets)[0].read.set == "all"


def test_a_meter_of_a_request_names_the_key():
    with pytest.raises(ConfigMistakes) as error:
        parse_meter("h", {"connection": {"tcp": "a"}, "evry": "1s"}, _presets)
    assert error.value.mistakes[0].key == "evry"


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("5m", 300), ("1h", 3600), ("30d", 2592000), ("1h30m", 5400)]
)
def test_durations(text, seconds):
    assert DURATION.convert(text) == seconds


@pytest.mark.parametrize(
    ("kind", "bad"),
    [(DURATION, 30), (DURATION, "30"), (DURATION, "-1s"), (INTERVAL, "0.5s"), (AT, "24:00"), (AT, 5), (SECRET, "bare")],
)
def test_what_is_no_value(kind, bad):
    with pytest.raises(ConfigError):
        kind.convert(bad)


@pytest.mark.parametrize(
    "bad", ["x", "value**9", "__import__('os')", "value.real", "True", "", "0x10*value", "value if 1 else 2"]
)
def test_a_transform_is_arithmetic_only(bad):
    with pytest.raises(ConfigError):
        parse_transform(bad)


def test_a_transform_is_exact_and_division_by_zero_is_told():
    assert parse_transform("-(value + 0.1) * 3 % 7 // 1 / 2")(Decimal("0.2")) == Decimal("-0")
    assert parse_transform("value * 0.1")(Decimal(3)) == Decimal("0.3")
    with pytest.raises(ConfigError):
        parse_transform("1 / value")(Decimal(0))


def test_a_preset_file_of_ones_own_is_looked_for_beside_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text('name: Mine\nconnection: {opening: sign-on, max_info: 64, wake_up: "0000"}\n')
    (tmp_path / "config.yaml").write_text(
        "mqtt: {host: localhost}\nmeters: {house: {preset: mine.yaml, connection: {serial: /dev/ttyX, client: 5}}}\n"
    )
    monkeypatch.chdir("/")
    loaded = load_config(tmp_path / "config.yaml", preset_connection, {})
    known = loaded.connections["house"]
    assert (known.opening, known.max_info, known.client, known.wake_up) == ("sign-on", 64, 5, b"\0\0")
    assert tmp_path / "mine.yaml" in loaded.files


def test_mistakes_of_lines_and_families_are_told_together_with_all_others(tmp_path):
    """Also where the configuration as a whole does not fit its rows: nobody mends a file in two rounds."""
    (tmp_path / "c.yaml").write_text(
        "bridge: {managment: true}\n"
        "meters:\n"
        "  one:\n"
        "    connection: {serial: /dev/ttyUSB0, tcp: 192.0.2.1}\n"
        "  two:\n"
        "    preset: nobody\n"
        "    connection: {tcp: 192.0.2.1}\n"
        "  three:\n"
        "    evry: 3s\n"
    )
    with pytest.raises(ConfigMistakes) as caught:
        load_config(tmp_path / "c.yaml", preset_connection, {})
    assert [(item.line, item.key) for item in caught.value.mistakes] == [
        (1, "bridge.managment"),
        (4, "meters.one.connection.serial"),
        (6, "meters.two.preset"),
        (9, "meters.three.evry"),
    ]
    assert str(tmp_path / "c.yaml:4") in caught.value.message


def test_where_the_state_is_when_nobody_says(tmp_path: Path) -> None:
    """The same by hand and as a service; a usual place that is there is not passed by, even if it may not be opened."""
    usual, home = tmp_path / "var/usual", {"XDG_STATE_HOME": str(tmp_path / "home")}
    named = {**home, "STATE_DIRECTORY": "/run/one:/run/two"}
    assert default_state_dir(named, usual) == Path("/run/one")
    assert default_state_dir(home, usual) == tmp_path / "home/dlms-mqtt"  # /var/usual cannot be made: no var
    usual.parent.mkdir()
    assert default_state_dir(home, usual) == usual
    usual.mkdir(mode=0)
    usual.parent.chmod(0o500)
    assert default_state_dir(home, usual) == usual


def test_a_state_directory_that_is_said_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for text, wanted in (("{}", "/run/named"), ("bridge: {state_dir: here}", str(tmp_path / "here"))):
        path.write_text(text)
        loaded = load_config(path, preset_connection, {"STATE_DIRECTORY": "/run/named"})
        assert str(loaded.config.bridge.state_dir) == wanted
