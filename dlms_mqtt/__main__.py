"""``python -m dlms_mqtt`` is ``dlms-mqtt``."""

import sys

from dlms_mqtt.cli import main

sys.exit(main())
