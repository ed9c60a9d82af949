#!/usr/bin/env python3
"""Print the requirements a headless `hass` needs at run time, for `uv pip install -r`.

Walks the manifests of the installed Home Assistant: everything bootstrap always sets up,
what ha_e2e.py's configuration.yaml names, and their dependencies.  With these installed,
`hass --skip-pip` fetches nothing.  Arguments: further integrations (domains).
"""

import json
import pathlib
import sys

import homeassistant
from homeassistant.bootstrap import BASE_PLATFORMS, DEFAULT_INTEGRATIONS

BASE = pathlib.Path(homeassistant.__file__).parent / "components"
WANTED = ["frontend", "config", "history", "logbook", "energy", "recorder", "mqtt", "diagnostics"]
# Sources only, built with a C++ compiler; printed with --voice alone.  They cannot be left out:
# assist_satellite (always set up) imports them, and while it cannot be imported, the websocket
# command get_services fails and the frontend never gets past its launch screen (2026.11).
VOICE = {"pymicro-vad", "pyspeex-noise"}

seen: set[str] = set()
reqs: set[str] = set()


def walk(domain: str, after: bool = False) -> None:
    if domain in seen or not (BASE / domain / "manifest.json").exists():
        return
    seen.add(domain)
    manifest = json.loads((BASE / domain / "manifest.json").read_text())
    reqs.update(manifest.get("requirements", []))
    for dep in manifest.get("dependencies", []):
        walk(dep)
    if after:  # mqtt's config flow imports hassio, which is only an after_dependency
        for dep in manifest.get("after_dependencies", []):
            walk(dep)


args = [arg for arg in sys.argv[1:] if arg != "--voice"]
for name in [*WANTED, *args]:
    walk(name, after=True)
for name in [*sorted(DEFAULT_INTEGRATIONS), *sorted(map(str, BASE_PLATFORMS))]:
    walk(name)
voice = "--voice" in sys.argv
print("\n".join(sorted(r for r in reqs if (r.split("=")[0] in VOICE) == voice)))
