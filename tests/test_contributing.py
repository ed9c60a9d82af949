"""Every row of CONTRIBUTING's "Where a change goes" is done: in a copy of the package, in the files that it names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from dlms_mqtt.client.line.client_link import client_link
from dlms_mqtt.client.settings import AUTHENTICATIONS, ConnectionSettings
from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import Link, Side
from dlms_mqtt.protocol.framing.registry import FRAMINGS
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.protocol.security import MECHANISMS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (an? [^|]+?) \| (.+) \|$", PAGE, re.MULTILINE))

READ = """
import asyncio
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import serve_memory
from dlms_mqtt.simulator.description import describe
from dlms_mqtt.transport.memory import memory_pair

async def read(framing, class_id, attribute):
    row = {"obis": "1.0.1.8.0.255", "class": class_id, "value": 12345, "scaler": 1, "unit": "Wh", "see": "public"}
    meter = describe({"kind": "bare", "objects": [row], "associations": [16]}).meter
    near, far = memory_pair()
    settings = parse_settings({"framing": framing})
    async with serve_memory(meter, far, framing), DlmsClient(settings, transport=near) as client:
        (found,) = await client.read([AttributeDescriptor(class_id, Obis.parse("1.8.0"), attribute)])
    return format(found.value, "f"), found.unit
"""

#: A made-up framing: "#" and two octets of length before each APDU.
COUNTED = '''"""A number sign and the length before each APDU."""

from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.stream.events import FrameInfo
from dlms_mqtt.protocol.framing.stream.place import Found, Wait

_HEAD = 3


def _end(data, at=0):
    return at + _HEAD + int.from_bytes(data[at + 1 : at + _HEAD], "big")


class CountedLink(BareLink):
    """One association."""

    _buffer = b""

    def send(self, apdu):
        super().send(b"#" + len(apdu).to_bytes(2, "big") + apdu)

    def receive(self, data):
        self._buffer += data
        while len(self._buffer) >= _HEAD and (end := _end(self._buffer)) <= len(self._buffer):
            super().receive(self._buffer[_HEAD:end])
            self._buffer = self._buffer[end:]


def recognise_counted(place):
    """A frame of which at least the head is there."""
    if place.buffer[place.at] != ord("#"):
        return None
    end = _end(place.buffer, place.at)
    if end > len(place.buffer):
        return Wait.POSSIBLE
    return Found(FrameInfo("counted", ""), end, place.buffer[place.at + _HEAD : end])
'''

#: Options, client, simulator, search, capture and its replay.
COUNTED_EVERYWHERE = """
assert asyncio.run(read("counted", 3, 2)) == ("123450", "Wh")

from dlms_mqtt.cli import main
from dlms_mqtt.meter.dump import dump_session
from dlms_mqtt.meter.finder.candidates import Fixed
from dlms_mqtt.meter.finder.engine import find
from dlms_mqtt.meter.finder.plan import stream_plan
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.replay.capture_file import Capture
from dlms_mqtt.simulator.replay.replay import replay_on

async def everywhere():
    meter = describe({"kind": "bare", "associations": [16]}).meter
    async with serve_tcp(meter, framing="counted") as server:
        found = await find({"tcp": "127.0.0.1:%d" % server.address[1], "framing": "counted"})
        assert found.complete and found.connection["framing"] == "counted", found
    near, far = memory_pair()
    settings = parse_settings({"framing": "counted"})
    async with serve_memory(meter, far, "counted"):
        document = await dump_session(settings, transport=near, salt=b"salt", objects=3)
    assert document["connection"]["framing"] == "counted" and document["exchanges"]
    assert all(row[2].startswith("23") for row in document["frames"])
    near, far = memory_pair()
    capture = Capture(document)
    replay = asyncio.create_task(replay_on(capture, far))
    async with DlmsClient(settings, transport=near) as client:
        known = {key: value for key, value in capture.values.items() if isinstance(value, Data)}
        assert known == {key: await client.get(key) for key in known} != {}
    replay.cancel()

asyncio.run(everywhere())
assert "counted" in {probe.options.get("framing") for probe in stream_plan(Fixed(), None)}
assert main(["simulate", "--framing", "counted", "--tcp", "127.0.0.1:0", "--seconds", "0.01"]) == 0
"""


class Errand(NamedTuple):
    """One change: file -> (text, what takes its place), or the whole new file; and the program that uses it."""

    files: dict[str, tuple[str, str] | str]
    program: str


ERRANDS = {
    "a COSEM class": Errand(
        {
            "cosem/rows/data.py": (
                "ROWS = (",
                'ROWS = (\n    Row(9000, (0,), "Water flow", "state:enum flow:choice/value scaler_unit:structure"),',
            )
        },
        READ + 'assert asyncio.run(read("wrapper", 9000, 3)) == ("123450", "Wh")',
    ),
    "a sensor, a unit, a name": Errand(
        {
            "meter/catalogue/objects.py": (
                "ROWS: tuple[Row, ...] = (",
                'ROWS: tuple[Row, ...] = (\n    Row("0.0.96.201.0.255", "noise", "Noise level", "number"),',
            ),
            "languages/de.json": ('"texts": {', '"texts": {\n    "Noise level": "Geräuschpegel",'),
        },
        """
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.obis import Obis
found = quantity(Obis.parse("0.0.96.201.0.255"))
assert found.key == "noise" and found.title.in_language("de") == "Geräuschpegel", found
""",
    ),
    "a meter family": Errand(
        {"meter/presets/my-meter.yaml": "name: My meter\nconnection: {client: 7}\n"},
        """
from dlms_mqtt.meter.presets.preset import preset_connection, preset_names
assert "my-meter" in preset_names() and preset_connection("my-meter")["client"] == 7
""",
    ),
    "a transport": Errand(
        {
            "transport/null.py": (
                '"""A line that leads nowhere."""\n\n'
                "from dlms_mqtt.transport.memory import MemoryTransport, memory_pair\n\n\n"
                "def null_transport() -> MemoryTransport:\n    return memory_pair()[0]\n"
            ),
            "transport/registry.py": (
                '    "udp": _udp,\n',
                '    "udp": _udp,\n'
                '    "null": lambda *_: '
                '__import__("dlms_mqtt.transport.null", fromlist="x").null_transport(),\n',
            ),
        },
        """
import asyncio
from dlms_mqtt.transport import make_transport
async def main():
    async with make_transport("null://"):
        pass
asyncio.run(main())
""",
    ),
    "a framing": Errand(
        {
            "protocol/framing/counted.py": COUNTED,
            "protocol/framing/registry.py": (
                "FRAMINGS: dict[str, Callable[[], type[Link]]] = {",
                "def _counted():\n    from dlms_mqtt.protocol.framing.counted import CountedLink\n\n"
                "    return CountedLink\n\n\n"
                'FRAMINGS: dict[str, Callable[[], type[Link]]] = {"counted": _counted, ',
            ),
            "protocol/framing/stream/recognisers.py": (
                "RECOGNISERS: dict[str, Callable[[Place], Result]] = {\n",
                "from dlms_mqtt.protocol.framing.counted import recognise_counted\n\n"
                'RECOGNISERS: dict[str, Callable[[Place], Result]] = {\n    "counted": recognise_counted,\n',
            ),
            "library/connection.py": ('Literal["hdlc", "wrapper"]', 'Literal["hdlc", "wrapper", "counted"]'),
        },
        READ + COUNTED_EVERYWHERE,
    ),
    "a command of the command line": Errand(
        {
            "cli/meter/greet.py": (
                '"""``dlms-mqtt greet``: says hello."""\n\n'
                'EXAMPLE = ""\n\n\ndef add_arguments(parser):\n    pass\n\n\n'
                'def run(args):\n    print("hello")\n    return 0\n'
            ),
            "cli/__init__.py": ('    "dump": "', '    "greet": "say hello",\n    "dump": "'),
        },
        'from dlms_mqtt.cli import main\nassert main(["greet"]) == 0',
    ),
    "a request to the bridge": Errand(
        {
            "bridge/requests/bridge_verbs.py": (
                '            "ping": self.ping,\n',
                '            "ping": self.ping,\n            "motto": self.motto,\n',
            ),
            "bridge/requests/verbs.py": ("VERBS = {\n", 'VERBS = {\n    "motto": Verb(looks=True),\n'),
        },
        """
import asyncio
from dlms_mqtt.bridge.requests.bridge_verbs import BridgeRequests
async def motto(self, request):
    return {"motto": "read"}
BridgeRequests.motto = motto
assert asyncio.run(BridgeRequests(None).find("motto")(None)) == {"motto": "read"}
""",
    ),
    "a connection option": Errand(
        {
            "client/settings.py": (
                "    retries: int = _option(",
                '    patience: int = _option(3, parse_int(0, 20), "how patient", "N")\n    retries: int = _option(',
            )
        },
        """
from dlms_mqtt.bridge.config.load import parse_meter
from dlms_mqtt.cli import _parser
assert _parser("read").parse_args(["read", "1.8.0", "--patience", "4"]).patience == "4"
_, settings = parse_meter("h", {"connection": {"tcp": "a", "patience": 4}}, lambda name: {})
assert settings.patience == 4
""",
    ),
    "an entity of every meter": Errand(
        {
            "bridge/homeassistant/entities.py": (
                "BUILT_IN: tuple[_BuiltIn, ...] = (",
                'BUILT_IN: tuple[_BuiltIn, ...] = (\n    _BuiltIn(_health("mood", "Mood")),',
            )
        },
        """
from dlms_mqtt.bridge.homeassistant.entities import built_in
assert "mood" in {entity.key for entity in built_in((), "en")}
""",
    ),
    "a language": Errand(
        {"languages/ia.json": '{"language": "Interlingua", "shorter": {}, "texts": {"Last success": "Successo"}}'},
        """
from dlms_mqtt.bridge.config.rows import section
from dlms_mqtt.bridge.config.sections.bridge import Discovery
from dlms_mqtt.bridge.homeassistant.entities import built_in
names = {entity.key: entity.name for entity in built_in((), "ia")}
assert (names["last_success"], names["status"]) == ("Successo", "Status")
assert section(Discovery).convert({"language": "ia"}).language == "ia"
""",
    ),
    "a public name": Errand(
        {
            "library/extra.py": '"""A thing more."""\n\n\ndef extra() -> int:\n    return 7\n',
            "__init__.py": ("_HOMES = {", '_HOMES = {\n    "library.extra": ("extra",),'),
        },
        "import dlms_mqtt\nassert dlms_mqtt.extra() == 7",
    ),
}


def test_every_row_is_an_errand() -> None:
    assert sorted(ROWS) == sorted(ERRANDS)


@pytest.mark.parametrize("name", ERRANDS)
def test_the_row_names_what_is_touched(name: str) -> None:
    for file in ERRANDS[name].files:
        folder = f"{Path(file).parent}/"
        assert f"`{file}`" in ROWS[name] or f"`{folder}`" in ROWS[name], file
        assert (ROOT / "dlms_mqtt" / file).exists() or f"`{folder}`" in ROWS[name]


@pytest.mark.parametrize("name", ERRANDS)
def test_the_errand(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "dlms_mqtt", tmp_path / "dlms_mqtt", ignore=shutil.ignore_patterns("__pycache__"))
    for file, change in ERRANDS[name].files.items():
        path = tmp_path / "dlms_mqtt" / file
        if isinstance(change, str):
            assert not path.exists()
            path.write_text(change, encoding="utf-8")
            continue
        text = path.read_text(encoding="utf-8")
        assert change[0] in text, f"{file} has no {change[0]!r}"
        path.write_text(text.replace(change[0], change[1], 1), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    where = f"import dlms_mqtt\nassert dlms_mqtt.__file__.startswith({str(tmp_path)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", where + ERRANDS[name].program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("link", [BareLink, HdlcLink, WrapperLink])
def test_every_framing_keeps_the_contract(link: type) -> None:
    one = link(Side.CLIENT)
    wanted = {*Link.__annotations__, *(name for name in vars(Link) if not name.startswith("_"))}
    assert [name for name in sorted(wanted) if not hasattr(one, name)] == []


def test_every_framing_word_has_an_end() -> None:
    for word in FRAMINGS:
        assert client_link(ConnectionSettings(tcp=("a", 1), framing=word), False).has_connection is (word == "hdlc")


def test_every_mechanism_has_its_word() -> None:
    assert {row.word for row in MECHANISMS.values()} == set(AUTHENTICATIONS)


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`([a-z0-9_./-]+/[a-z0-9_./-]*)`", text)
    assert len(named) > 10
    for name in named:
        assert (ROOT / "dlms_mqtt" / name).exists() or (ROOT / name).exists() or name == "translations/", name
