"""docs/library.md and the README: every program is run against simulated meters, and type-checked as a user's is."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dlms_mqtt.simulator import SignOnOptions, household, serve_pty, serve_tcp
from tests.free_port import free_port
from tests.library.reference import page

ROOT = Path(__file__).parents[2]
PUSH = bytes.fromhex("7ea027010201105a87e6e7000f40000000090c07e7031603031c2aff800000020106000008e580bb7e")
CONFIG = """
mqtt: {host: localhost}
meters: {house: {connection: {tcp: "127.0.0.1:4059", client: 17}}}
"""
GXC = """<ArrayOfGXDLMSDevice><GXDLMSDevice><Name>House</Name><InterfaceType>1</InterfaceType>
<MediaType>Gurux.Net.GXNet</MediaType><MediaSettings>&lt;IP&gt;127.0.0.1&lt;/IP&gt;&lt;Port&gt;4059&lt;/Port&gt;</MediaSettings>
<Authentication>Low</Authentication><ClientAddress>32</ClientAddress></GXDLMSDevice></ArrayOfGXDLMSDevice>"""


def programs(page: str) -> list[tuple[str, str]]:
    """Heading and source of each."""
    found: list[tuple[str, str]] = []
    heading = ""
    for match in re.finditer(
        r"^#+ ([^\n]*)$|```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        heading = match[1] or heading
        if match[2]:
            found.append((heading, match[2]))
    return found


PROGRAMS = [
    pytest.param(source, id=f"{page.rpartition('/')[2]}: {heading}")
    for page in ("docs/library.md", "README.md")
    for heading, source in programs(page)
]
TESTS = "def test_"


def test_there_are_programs() -> None:
    assert len(PROGRAMS) > 15


#: What a program prints, by what is in it; every other one must print something.
PRINTS = {
    "import pandas": r"Active energy import, Length: 96",
    "read_all(": r"(?s)tcp://127.0.0.1:\d+ \(Decimal.*\n.*tcp://127.0.0.1:\d+ \(Decimal",
    "find(": r"The meter answers.*\nDMQ\d+",
    "listen(": r"Active power import",
    "decode(": r"Active power import.*2277.*\n+hdlc \[\]",
    "read_gurux(": r"House \('password',\) 0\n\d+",
    "write(": r"read-write-denied\nTrue",
    "energy_import": r"\d{6}",
}


@pytest.mark.parametrize("source", [p for p in PROGRAMS if TESTS not in str(p.values[0])])
async def test_programs(source: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        meters = [await stack.enter_async_context(serve_tcp(household(seed))) for seed in (1, 2)]
        ports = {"4059": meters[0].port, "4060": meters[1].port, "4061": free_port()}
        if "/dev/ttyUSB0" in source:
            head = await stack.enter_async_context(serve_pty(household(1), sign_on=SignOnOptions(), paced=False))
            source = source.replace("/dev/ttyUSB0", head.device)
        for name, text in (("config.yaml", CONFIG), ("meters.gxc", GXC), ("program.py", source)):
            (tmp_path / name).write_text(_with_ports(text, ports))
        printed = await _run(tmp_path, ports["4061"] if "listen(" in source else 0)
    pattern = next((pattern for word, pattern in PRINTS.items() if word in source), r"\w")
    assert re.search(pattern, printed), printed


def _with_ports(text: str, ports: dict[str, int]) -> str:
    for known, real in ports.items():
        text = re.sub(rf"\b{known}\b", str(real), text)
    return text


async def _run(folder: Path, pushed_to: int) -> str:
    environment = os.environ | {"XDG_STATE_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "program.py",
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    pushing = asyncio.create_task(_push(pushed_to)) if pushed_to else None
    async with asyncio.timeout(120):
        printed, complaints = await process.communicate()
    if pushing:
        await pushing
    assert process.returncode == 0, complaints.decode()
    return printed.decode()


async def _push(port: int) -> None:
    """As soon as the program listens."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.write(PUSH)
        writer.close()
        return


@pytest.mark.parametrize("source", [p for p in PROGRAMS if TESTS in str(p.values[0])])
def test_tests(source: str, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(source)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_mode=auto",
        "test_mine.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow_once
def test_programs_pass_mypy_strict(tmp_path: Path) -> None:
    for number, program in enumerate(PROGRAMS):
        (tmp_path / f"program_{number}.py").write_text(str(program.values[0]))
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\n[mypy-pandas.*]\nignore_missing_imports = True\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.11", "--config-file", str(settings)]
    done = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "cache"), *map(str, tmp_path.glob("program_*.py"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow_once
def test_the_reference_is_that_of_the_docstrings() -> None:
    """If not: ``python -m tests.library.reference > docs/api.md``."""
    assert (ROOT / "docs/api.md").read_text(encoding="utf-8") == page()
