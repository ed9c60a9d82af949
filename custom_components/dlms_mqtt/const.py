"""Names and limits shared by the component's files."""

from __future__ import annotations

DOMAIN = "dlms_mqtt"
CONF_BASE_TOPIC = "base_topic"
CONF_BRIDGE = "bridge"
CONF_HISTORY = "history"  # days back that gaps are filled from the load profile; absent: not at all
CONF_METER = "meter"
SUBENTRY_METER = "meter"
CONF_FILE = "file"  # of a subentry: the meter stands in the bridge's own configuration file
DEFAULT_BASE_TOPIC = "dlms_mqtt"

API_VERSION = 1
MINIMUM_BRIDGE = "0.1.0"
NEW_METER = "new"  # to whom a secret is sealed where the meter has no id yet
MASKED = "***"  # a secret that the bridge may have and shows to nobody

# Seconds.
DISCOVERY_WAIT = 5.0  # for retained messages after a subscription
SETTLE = 0.5  # after the first bridge was seen, for further ones
SETUP_WAIT = 10.0
DEVICE_WAIT = 10.0  # for Home Assistant to make the meter's device out of the discovery message
REPLY_GRACE = 5.0  # on top of the time that the bridge itself was given
REQUEST_TIMEOUT = 30.0
TEST_TIMEOUT = 120.0
LONG_TIMEOUT = 600.0
LISTEN = 150  # for the first telegram of a meter that sends by itself; most send every 1 to 60 s

STAGE_SHOWN = 2.0  # at least, so that it can be read

HISTORY_DAYS = 30

# How a meter is, as the bridge's health says it.
STATUSES = (
    "waiting",
    "ok",
    "no_answer",
    "link_down",
    "association_refused",
    "password_refused",
    "locked_out",
    "security_error",
    "meter_refused",
    "paused",
    "error",
)

# What may happen to a meter, as its event topic says it.
EVENTS = ("alarm", "alarm_cleared", "log_entry", "notification", "meter_changed")
