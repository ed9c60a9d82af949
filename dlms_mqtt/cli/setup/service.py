"""The bridge as a service of systemd: the unit for this installation and configuration, and the steps that install it.

A program or configuration in somebody's home is run as that user, who alone can read it; one below /etc as a user of
its own.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlms_mqtt.bridge.config.load import STATE_FILE, load_config
from dlms_mqtt.bridge.config.sections.bridge import STATE_DIR
from dlms_mqtt.cli.bridge.service import program, unit
from dlms_mqtt.cli.output import say
from dlms_mqtt.cli.setup import words
from dlms_mqtt.cli.setup.conversation import Conversation
from dlms_mqtt.cli.setup.search import NotFound
from dlms_mqtt.meter.presets.preset import preset_connection

UNIT = Path("/etc/systemd/system/dlms-mqtt.service")
USER = "dlms-mqtt"
_KEPT = (f"{STATE_FILE}*", "seal.key", "lock", "closed")  # files of a state directory
_SYSTEMD = Path("/run/systemd/system")  # is there where systemd runs the machine: sd_booted(3)


def has_systemd() -> bool:
    """Does systemd run this machine?"""
    return _SYSTEMD.is_dir() and shutil.which("systemctl") is not None


def install(talk: Conversation, config: Path, state: Path, wanted: bool | None) -> bool:
    """Print the unit and the steps, and take them if the user agrees; whether it was done. NotFound: a step failed."""
    user, folder = _user_of(config), state_folder(config)
    text = unit_for(program(), config, user, folder)
    say(text.rstrip("\n"))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / UNIT.name
        file.write_text(text, encoding="utf-8")
        commands = list(steps(file, config, state, user, folder))
        say("")
        for command in commands:
            say(f"  {shlex.join(_as_root(command))}")
        if os.geteuid():
            talk.say(words.SERVICE_SUDO)
        if not talk.confirm(words.SERVICE_INSTALL, wanted, default=True, unattended=False):
            return False
        for command in commands:
            if subprocess.run(_as_root(command), check=False).returncode:  # noqa: S603 - shown, and agreed to
                raise NotFound(talk.text(words.SERVICE_FAILED, command=shlex.join(_as_root(command))))
    talk.say(words.SERVICE_RUNS)
    return True


def state_folder(config: Path) -> Path:
    """Where the service keeps its state: a state_dir of the configuration, else what systemd gives it. ConfigError."""
    given = {**os.environ, "STATE_DIRECTORY": str(STATE_DIR)}
    return load_config(config, preset_connection, given).config.bridge.state_dir.absolute()


def unit_for(start: str, config: Path, user: str, folder: Path = STATE_DIR) -> str:
    """The unit that starts ``start`` with this configuration as ``user``; ``folder``: where the state is."""
    text = unit(start).replace("/etc/dlms-mqtt/config.yaml", str(config.absolute()))
    text = re.sub(r"(?m)^User=.*$", f"User={user}", text)
    if folder != STATE_DIR:  # all else is read-only for the bridge
        own = f'StateDirectoryMode=0700\nReadWritePaths="{str(folder).replace("%", "%%")}"'
        text = text.replace("StateDirectoryMode=0700", own)
    used = (Path(start), config.absolute(), folder)
    at_home = any(path.is_relative_to(home) for path in used for home in ("/home", "/root"))
    return text.replace("ProtectHome=yes", "ProtectHome=read-only") if at_home else text


def _user_of(config: Path) -> str:
    """Whose configuration it is; root's is run by a user of its own."""
    owner = config.stat().st_uid
    return pwd.getpwuid(owner).pw_name if owner else USER


def steps(file: Path, config: Path, state: Path, user: str, folder: Path = STATE_DIR) -> Sequence[list[str]]:
    """The commands, each with its words, for somebody who is root; ``folder``: where the service keeps its state."""
    beside = [path for path in (config, config.with_name("secrets.yaml")) if path.exists()]
    made: list[list[str]] = []
    if user == USER:
        if not _is_user(USER):
            made.append(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER])
        made += [["chgrp", USER, *map(str, beside)], ["chmod", "0640", *map(str, beside)]]
    made.append(["install", "-d", "-m", "0700", "-o", user, str(folder)])
    kept = sorted(str(path) for name in _KEPT for path in folder.glob(name)) if folder != STATE_DIR else []
    if kept:
        made.append(["chown", user, *kept])
    if folder == STATE_DIR and state.exists() and state.parent != STATE_DIR and not (STATE_DIR / STATE_FILE).exists():
        # Invocation counters go on where they are: a key must not protect two messages alike.
        made.append(["install", "-m", "0600", "-o", user, str(state), str(STATE_DIR / STATE_FILE)])
    return [
        *made,
        ["install", "-m", "0644", str(file), str(UNIT)],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", UNIT.stem],
    ]


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _as_root(command: list[str]) -> list[str]:
    return command if os.geteuid() == 0 else ["sudo", *command]
