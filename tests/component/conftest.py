"""The component in a real Home Assistant, against a bridge that speaks the API out of memory.

The package's own test run has no Home Assistant in its environment and leaves this folder out.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("pytest_homeassistant_custom_component") is None:
    collect_ignore_glob = ["*.py", "e2e/*"]
else:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    # Before the plugin's own package of the same name comes in its way.
    import custom_components.dlms_mqtt  # noqa: F401

    pytest_plugins = ["component_fixtures"]
