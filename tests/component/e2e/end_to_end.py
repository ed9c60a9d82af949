"""One story in a real Home Assistant: bridge found, meter added, read, written, everything restarted, all removed.

end_to_end.py [--fake] [--keep DIRECTORY] BRIDGE_PYTHON

BRIDGE_PYTHON runs `dlms-mqtt` (bridge and simulated meter); with --fake the bridge out of memory takes its place.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from failures import provoke
from home_assistant import Failed, HomeAssistant, eventually, free_port
from processes import Program, wait_for_port

ROOT = Path(__file__).resolve().parents[3]
COMPONENT = ROOT / "custom_components" / "dlms_mqtt"
METER = "house"
SECRET = "87654321"  # of the simulated meter's installer
NEW_SECRET = "24682468"  # after the grid operator has changed it
ATTEMPTS = 2  # that the bridge makes with a refused password before it waits
OTHER_METER = """\
associations:
  - 16
  - {{client: 33, authentication: low, password: "text:{secret}", faults: {faults}}}
"""
WRONG_PASSWORD = 46  # in the simulated meter's event log
ACCESS = {
    "name": "House",
    "client": 33,
    "server": 1,
    "authentication": "low",
    "password": SECRET,
    "password_format": "text",
    "ciphering": {"security": "automatic"},
}
CONFIGURATION = """\
bridge:
  id: main
  state_dir: {state}
  management: true
mqtt:
  host: 127.0.0.1
  port: {port}
"""


class Story:
    """The programs, and the chapters that are run in order."""

    def __init__(self, directory: Path, bridge_python: str, fake: bool) -> None:
        self.directory, self.bridge_python, self.fake = directory, bridge_python, fake
        self.state = directory / "state"
        self.state.mkdir()
        self.broker_port, self.meter_port = free_port(), free_port()
        self.home = HomeAssistant(directory)
        self.broker: Program | None = None
        self.bridge: Program | None = None
        self.meter: Program | None = None
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        """What is about to be proved."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    # Programs

    async def start_broker(self) -> None:
        """A Mosquitto of our own, without persistence: what it knew is gone after a restart."""
        configuration = self.directory / "mosquitto.conf"
        configuration.write_text(f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.broker = await Program.start("mosquitto", [program, "-c", str(configuration)], self.directory)
        await wait_for_port(self.broker_port)

    async def start_bridge(self) -> None:
        """The bridge."""
        if self.fake:
            script = str(Path(__file__).with_name("fake_bridge_process.py"))
            command = [sys.executable, script, str(self.broker_port), str(self.directory / "fake.json")]
        else:
            configuration = self.directory / "config.yaml"
            configuration.write_text(CONFIGURATION.format(state=self.state, port=self.broker_port))
            command = [self.bridge_python, "-m", "dlms_mqtt", "run", "--config", str(configuration)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.bridge = await Program.start("bridge", command, self.directory, environment)

    async def start_meter(self, *options: str) -> None:
        """The simulated meter on TCP."""
        if self.fake:
            return
        self.meter = await self.simulate("meter", ["--tcp", f"127.0.0.1:{self.meter_port}", *options])
        await wait_for_port(self.meter_port)

    async def simulate(self, name: str, options: list[str]) -> Program:
        """A simulated meter; where it has a TCP port, that is open at the end."""
        command = [self.bridge_python, "-u", "-m", "dlms_mqtt", "simulate", *options]
        program = await Program.start(name, command, self.directory, {**os.environ, "PYTHONPATH": str(ROOT)})
        for option, value in itertools.pairwise(options):
            if option == "--tcp":
                await wait_for_port(int(value.rpartition(":")[2]))
        return program

    async def retained(self) -> dict[str, str]:
        """What the broker keeps now."""
        found: dict[str, str] = {}
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.on_message = lambda _c, _d, message: found.update({message.topic: message.payload.decode()})
        client.connect("127.0.0.1", self.broker_port)
        client.loop_start()
        client.subscribe("#", 1)
        await asyncio.sleep(1)
        client.disconnect()
        client.loop_stop()
        return found

    # What is looked at again and again

    async def bridge_entry(self) -> dict[str, Any]:
        """The component's entry, when it is loaded."""

        async def loaded() -> Any:
            return next((e for e in await self.home.entries("dlms_mqtt") if e["state"] == "loaded"), None)

        entry: dict[str, Any] = await eventually(loaded, "the entry of the bridge")
        return entry

    async def energy(self) -> dict[str, Any]:
        """The state of an energy entity of the meter, when it has a number."""

        async def has_number() -> Any:
            for state in (await self.home.states()).values():
                if state["attributes"].get("device_class") == "energy" and re.fullmatch(r"[\d.]+", state["state"]):
                    return state
            return None

        state: dict[str, Any] = await eventually(has_number, "an energy entity with a number", 60)
        return state

    async def device_id(self) -> str:
        """The meter's device, which is MQTT's."""

        async def found() -> Any:
            return await self.home.device(f"dlms_mqtt_{METER}")

        device: dict[str, Any] = await eventually(found, "the device of the meter")
        return str(device["id"])

    # Chapters

    async def start(self) -> None:
        """Everything runs, and MQTT is set up through its own flow."""
        await self.start_broker()
        await self.start_meter()
        await self.start_bridge()
        self.home.prepare(COMPONENT)
        await self.home.start()
        await self.home.onboard()
        await self.home.add_mqtt(self.broker_port)

    async def add_the_bridge(self) -> None:
        """It is offered under "Discovered" and confirmed in one click."""

        async def offered() -> Any:
            return await self.home.discovered("dlms_mqtt")

        (flow,) = await eventually(offered, "the bridge under Discovered")
        step = await self.home.answer(flow["flow_id"])
        _expect(step, "create_entry")
        await self.bridge_entry()

    async def find_the_meter(self) -> None:
        """ "Find it for me" ends with connection data in the form; the flow is closed without adding anything."""
        entry = await self.bridge_entry()
        step = await self.home.start_subflow(entry["entry_id"], "meter")
        flow = step["flow_id"]
        step = await self.home.answer(flow, {"next_step_id": "tcp"}, sub=True)
        step = await self.home.answer(flow, {"host": "127.0.0.1", "port": self.meter_port}, sub=True)
        step = await self.home.answer(flow, {"next_step_id": "find"}, sub=True)
        _expect(step, "form", "access")
        if "client" not in _suggested(step):
            raise Failed(f"nothing was found: {_suggested(step)}")
        await self.home.close_subflow(flow)

    async def add_the_meter(self) -> None:
        """Line, preset, a wrong password with its own sentence, the right one, items; the last page and its link."""
        entry = await self.bridge_entry()
        step = await self.home.start_subflow(entry["entry_id"], "meter")
        flow = step["flow_id"]
        step = await self.home.answer(flow, {"next_step_id": "tcp"}, sub=True)
        step = await self.home.answer(flow, {"host": "127.0.0.1", "port": self.meter_port}, sub=True)
        step = await self.home.answer(flow, {"next_step_id": "preset"}, sub=True)
        step = await self.home.answer(flow, {"preset": "generic"}, sub=True)
        if not self.fake:
            wrong = {**ACCESS, "password": "00000000", "authentication": "automatic"}
            step = await self.home.answer(flow, wrong, sub=True)
            _expect(step, "form", "access")
            if step["errors"] != {"base": "authentication_refused"}:
                raise Failed(f"a wrong password was answered with {step['errors']}")
        step = await self.home.answer(flow, ACCESS, sub=True)
        _expect(step, "form", "items")
        ticked = _suggested(step)["items"]
        if not ticked:
            raise Failed("no core items are ticked")
        step = await self.home.answer(flow, {"items": ticked, "every": 2}, sub=True)
        _expect(step, "create_entry")
        if step["description_placeholders"]["url"].rsplit("/", 1)[1] != await self.device_id():
            raise Failed(f"the last page does not lead to the device: {step['description_placeholders']}")
        (subentry,) = await self.home.subentries(entry["entry_id"])
        if subentry["unique_id"] != METER:
            raise Failed(f"the subentry is {subentry}")

    async def see_the_entities(self) -> None:
        """With device classes, state classes and units."""
        state = await self.energy()
        attributes = state["attributes"]
        if (attributes["unit_of_measurement"], attributes["state_class"]) != ("kWh", "total_increasing"):
            raise Failed(f"the energy entity is {state}")
        if self.fake:
            return
        classes = {s["attributes"].get("device_class") for s in (await self.home.states()).values()}
        if missing := {"energy", "power", "voltage", "current", "timestamp"} - classes:
            raise Failed(f"no entity of the classes {missing}")

    async def call_each_action(self) -> None:
        """Read, write, invoke, profile, clock, poll and pause; refusals come in words."""
        device = await self.device_id()
        answer = await self.home.action("read", device_id=device, objects=["1.0.1.8.0.255"])
        if not self.fake and answer["values"][0]["obis"] != "1.0.1.8.0.255":
            raise Failed(f"read answered {answer}")
        await self.home.action("poll", device_id=device)
        await self.home.action("set_clock", device_id=device)
        await self.home.action("get_profile", device_id=device, obis="1.0.99.1.0.255", first=1, count=2)
        if not self.fake:
            await self._write_and_invoke(device)
        await self.home.action("pause", device_id=device, minutes=1)
        await self.home.action("pause", device_id=device, minutes=0)

    async def _write_and_invoke(self, device: str) -> None:
        """Free addresses are refused until the meter's own file on the bridge allows them."""
        write = {"device_id": device, "object": "0.0.96.13.0.255:2", "value": "text:hello"}
        invoke = {"device_id": device, "object": "4/1.0.1.6.0.255:1"}
        for name, data in (("write", write), ("invoke", invoke)):
            try:
                await self.home.action(name, **data)
            except Failed as error:
                if "does not allow this" not in str(error):
                    raise
            else:
                raise Failed(f"{name} was not refused")
        await self.allow_free_addresses()
        answer = await self.home.action("write", **write)
        if "hello" not in str(answer["read_back"]):
            raise Failed(f"write answered {answer}")
        await self.home.action("invoke", **invoke)
        answer = await self.home.action("read", device_id=device, objects=["0.0.96.13.0.255"])
        if "hello" not in str(answer["values"]):
            raise Failed(f"the value that was written reads as {answer}")

    async def allow_free_addresses(self) -> None:
        """By hand, in the managed meter's file: no publisher can do it."""
        path = self.state / "meters" / f"{METER}.yaml"
        path.write_text(path.read_text() + "allow: [write, invoke]\n")
        await self.restart_the_bridge()

    async def restart_the_broker(self) -> None:
        """It forgets everything; all comes back by itself."""
        assert self.broker
        await self.broker.stop()
        energy = (await self._energy_ids())[0]

        async def unavailable() -> bool:
            return bool((await self.home.states())[energy]["state"] == "unavailable")

        await eventually(unavailable, "entities unavailable without a broker")
        await self.start_broker()
        await self.answers()
        await self.energy()

    async def _energy_ids(self) -> list[str]:
        states = (await self.home.states()).items()
        return [name for name, state in states if state["attributes"].get("device_class") == "energy"]

    async def restart_the_bridge(self) -> None:
        """The subentry and the device stay, and values come again."""
        assert self.bridge
        await self.bridge.stop()
        device = await self.device_id()

        async def refused() -> bool:
            try:
                await self.home.action("poll", device_id=device)
            except Failed:
                return True
            return False

        await eventually(refused, "an action without a bridge refused")
        await self.start_bridge()
        await self.answers()
        await self.energy()

    async def answers(self) -> None:
        """Until an action gets through to the meter again."""
        device = await self.device_id()

        async def works() -> bool:
            try:
                await self.home.action("poll", device_id=device)
            except Failed:
                return False
            return True

        await eventually(works, "an action after the restart", 90)

    async def delete_and_add_again(self) -> None:
        """Deleting the entry keeps the meter on the bridge: adding the bridge again finds it."""
        entry = await self.bridge_entry()
        device = await self.device_id()
        await self.home.rest("DELETE", f"/api/config/config_entries/entry/{entry['entry_id']}")
        await self.energy()
        await self.add_the_bridge()
        entry = await self.bridge_entry()

        async def back() -> bool:
            return [sub["unique_id"] for sub in await self.home.subentries(entry["entry_id"])] == [METER]

        await eventually(back, "the meter as a subentry")
        if await self.device_id() != device:
            raise Failed("the device changed")

    async def reconfigure(self) -> None:
        """Another name and another interval."""
        entry = await self.bridge_entry()
        (subentry,) = await self.home.subentries(entry["entry_id"])
        step = await self.home.start_subflow(entry["entry_id"], "meter", subentry["subentry_id"])
        step = await self.home.answer(step["flow_id"], {"next_step_id": "objects"}, sub=True)
        shown = _suggested(step)
        if shown["every"] != 2:
            raise Failed(f"the form shows {shown}")
        step = await self.home.answer(step["flow_id"], {**shown, "every": 3}, sub=True)
        if step.get("reason") != "reconfigure_successful":
            raise Failed(f"reconfigure ended with {step}")
        await self.energy()

    async def each_failure_has_its_sentence(self) -> None:
        """No answer, echo, wrong address, password, lock, keys, counter: from the meter to the page."""
        if not self.fake:
            await provoke(self.home, (await self.bridge_entry())["entry_id"], self.simulate)

    async def the_password_is_changed(self) -> None:
        """The meter refuses; Home Assistant asks for the password; no attempt is burnt; the new one works."""
        if self.fake:
            return
        began = datetime.now(UTC)
        await self.stop_meter()
        await self.start_other_meter(["lock-out:4"])
        flow = await eventually(self._asked, "the question for the new password", 60)
        await eventually(self._locked_out, "the repair of a meter that is locked out", 60)
        await asyncio.sleep(5)  # two intervals: no attempt is made in them
        step = await self.home.answer(flow, {"password": "11111111", "password_format": "text"})
        if step.get("errors") != {"base": "authentication_refused"}:
            raise Failed(f"another wrong password: {step.get('errors')}")
        step = await self.home.answer(flow, {"password": NEW_SECRET, "password_format": "text"})
        if step.get("reason") != "reauth_successful":
            raise Failed(f"the new password: {step}")
        await self.answers()
        await eventually(self._content, "no repair and no question any more")
        await self._attempts_since(began, ATTEMPTS + 1)

    async def stop_meter(self) -> None:
        """Nobody answers any more."""
        assert self.meter
        await self.meter.stop()

    async def start_other_meter(self, faults: list[str]) -> None:
        """The meter with its new password, and with faults."""
        description = self.directory / "meter.yaml"
        description.write_text(OTHER_METER.format(secret=NEW_SECRET, faults=json.dumps(faults)))
        await self.start_meter("--meter", str(description))

    async def repairs_come_and_go(self) -> None:
        """A line that fails, a clock that jumped, registers that began anew: each shown, and gone when it is cured."""
        if self.fake:
            return
        await self.stop_meter()
        await self._shown({"line_failing"})
        await self.start_other_meter(["clock-jump:3600", "register-reset"])
        await self._shown({"clock_drift", "energy_held"})
        for issue_id in (await self.home.issues()).values():
            await self.home.fix(issue_id)
        await self._shown(set())

    async def _shown(self, expected: set[str]) -> None:
        async def shown() -> bool:
            return set(await self.home.issues()) == expected

        await eventually(shown, f"the repairs {sorted(expected)}", 120)

    async def _asked(self) -> Any:
        flows = await self.home.discovered("dlms_mqtt")
        return next((flow["flow_id"] for flow in flows if flow["context"]["source"] == "reauth"), None)

    async def _locked_out(self) -> bool:
        return "locked_out" in await self.home.issues()

    async def _content(self) -> bool:
        return not await self.home.issues() and not await self._asked()

    async def _attempts_since(self, began: datetime, expected: int) -> None:
        """The meter's own event log counts the wrong passwords."""
        log = await self.home.action(
            "get_profile", device_id=await self.device_id(), obis="0.0.99.98.0.255", start=began.isoformat()
        )
        codes = [row["value"] for row in log["values"] if row["value"] == WRONG_PASSWORD]
        if len(codes) != expected:
            raise Failed(f"{len(codes)} wrong attempts, not {expected}: {log['values']}")

    async def diagnostics(self) -> None:
        """Useful, without the password."""
        entry = await self.bridge_entry()
        found = await self.home.rest("GET", f"/api/diagnostics/config_entry/{entry['entry_id']}")
        text = json.dumps(found)
        if SECRET in text or "127.0.0.1" in json.dumps(found["data"]["meters"]):
            raise Failed("the diagnostics are not redacted")
        if found["data"]["meters"][METER]["device_found"] is not True:
            raise Failed("the diagnostics do not know the device")

    async def remove_the_meter(self) -> None:
        """Nothing is left of it: not on the bridge, not at the broker, not in Home Assistant."""
        entry = await self.bridge_entry()
        (subentry,) = await self.home.subentries(entry["entry_id"])
        await self.home.ws(
            type="config_entries/subentries/delete", entry_id=entry["entry_id"], subentry_id=subentry["subentry_id"]
        )

        async def gone() -> bool:
            return await self.home.device(f"dlms_mqtt_{METER}") is None

        await eventually(gone, "the device gone")
        left = [topic for topic in await self.retained() if METER in topic]
        if left:
            raise Failed(f"the broker still keeps {left}")
        if await self._energy_ids():
            raise Failed("there are energy entities left")
        if not self.fake and list((self.state / "meters").glob("*")):
            raise Failed("the bridge still has the meter's file")
        if await self.home.subentries(entry["entry_id"]):
            raise Failed("the subentry came back")

    async def nothing_was_said_wrong(self) -> None:
        """No complaint in Home Assistant's log about us; the password in no file of Home Assistant and in no log."""
        complaints = self.home.complaints()
        if complaints:
            raise Failed("Home Assistant complains:\n" + "\n".join(complaints))
        # the meters print their own
        logs = [path for path in self.directory.glob("*.log") if not path.name.startswith("meter")]
        for path in (*self.home.config.rglob("*"), *logs):
            for secret in (SECRET, NEW_SECRET):
                if path.is_file() and secret.encode() in path.read_bytes():
                    raise Failed(f"the password is in {path}")

    CHAPTERS = (
        start,
        add_the_bridge,
        find_the_meter,
        add_the_meter,
        see_the_entities,
        call_each_action,
        diagnostics,
        restart_the_broker,
        restart_the_bridge,
        delete_and_add_again,
        reconfigure,
        each_failure_has_its_sentence,
        the_password_is_changed,
        repairs_come_and_go,
        remove_the_meter,
        nothing_was_said_wrong,
    )


def _expect(step: dict[str, Any], kind: str, name: str | None = None) -> None:
    if step["type"] != kind or (name and step["step_id"] != name):
        raise Failed(f"expected {kind} {name or ''}, got {json.dumps(step)[:2000]}")


def _suggested(step: dict[str, Any]) -> dict[str, Any]:
    """What a form shows, as the frontend would send it back."""
    shown = {field["name"]: (field.get("description") or {}).get("suggested_value") for field in step["data_schema"]}
    return {name: value for name, value in shown.items() if value is not None}


async def tell(directory: Path, bridge_python: str, fake: bool) -> int:
    """Run the chapters; 0 when all went well."""
    story = Story(directory, bridge_python, fake)
    try:
        for chapter in Story.CHAPTERS:
            story.say(chapter.__name__.replace("_", " "))
            await chapter(story)
        story.say("all went well")
    except Exception as error:
        print(f"FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        if not isinstance(error, Failed):
            import traceback

            traceback.print_exc()
        for log in ("bridge", "meter", "hass"):
            path = directory / f"{log}.log"
            if path.exists():
                print(f"--- {log}.log", *path.read_text(errors="replace").splitlines()[-25:], sep="\n", file=sys.stderr)
        return 1
    finally:
        await story.home.stop()
        for program in list(Program.running):
            await program.stop()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--keep", type=Path, help="a new directory for all files, which is kept")
    parser.add_argument("bridge_python")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True)
        return asyncio.run(tell(options.keep, options.bridge_python, options.fake))
    with tempfile.TemporaryDirectory(prefix="dlms-mqtt-e2e-") as directory:
        return asyncio.run(tell(Path(directory), options.bridge_python, options.fake))


if __name__ == "__main__":
    sys.exit(main())
