"""What the README shows is run: its configuration loads, its commands are understood, its program reads a meter."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dlms_mqtt.cli import _parser, main
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of that language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [
    line.partition(" #")[0].partition(" > ")[0].strip()
    for block in blocks("sh")
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip().startswith("dlms-mqtt")
]


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    words = shlex.split(command)[1:]
    assert _parser(words[0]).parse_args(words).command == words[0]


@pytest.mark.parametrize("command", [command for command in COMMANDS if " decode " in command])
def test_decode_explains_its_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)[1:]) == 0
    assert "1.0.1.7.0.255" in capsys.readouterr().out


async def test_the_program_reads_a_meter(capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = blocks("python")
    async with serve_tcp(household(1)) as server:
        code = source.replace("127.0.0.1:4059", f"127.0.0.1:{server.port}").replace("asyncio.run(main())", "")
        scope: dict[str, object] = {}
        exec(compile(code, "README.md", "exec"), scope)
        await scope["main"]()  # type: ignore[operator]
    assert re.search(r"\d+ Wh", capsys.readouterr().out)
