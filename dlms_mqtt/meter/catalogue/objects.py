"""Objects that are not a plain electrical quantity, as rows: OBIS pattern -> key, name, what it is.

Keys and names may use ``{b}`` and ``{e}`` (groups of the code). The first row that matches wins. A key is frozen
within version 1 of the MQTT API: add rows, never rename.
"""

from __future__ import annotations

from typing import NamedTuple

from dlms_mqtt.cosem.classes import CLASSES, SCALERS, VALUES
from dlms_mqtt.cosem.pattern import PatternTable
from dlms_mqtt.meter.catalogue.quantity import Kind

DIAGNOSTIC = "diagnostic"


class Row(NamedTuple):
    """One pattern. ``display`` is a row of ``DISPLAYS`` ("" leaves unit and classes to the meter)."""

    pattern: str
    key: str
    en: str
    display: str = ""
    kind: Kind = Kind.NUMBER
    core: bool = False
    category: str = DIAGNOSTIC
    attribute: int = 2
    words: str = ""


class Facet(NamedTuple):
    """An attribute that belongs to the value beside it: what is put behind key and name."""

    key: str
    en: str
    kind: Kind


#: By the attribute's name, in every class whose value has a scaler.
_FACETS = {
    "status": Facet("_status", "status", Kind.BITS),
    "capture_time": Facet("_time", "time", Kind.TIMESTAMP),
    "last_average_value": Facet("_last", "last average", Kind.NUMBER),
    "start_time_current": Facet("_start", "start", Kind.TIMESTAMP),
}
FACETS: dict[tuple[int | None, int], Facet] = {
    (class_id, attribute.index): _FACETS[attribute.name]
    for class_id, version in CLASSES
    if class_id in SCALERS and class_id in VALUES
    for attribute in CLASSES[class_id, version].attributes
    if attribute.name in _FACETS
}

WORDS: dict[str, dict[int, str]] = {
    "disconnect": {0: "disconnected", 1: "connected", 2: "ready_for_reconnection"},
    "output": {0: "off", 1: "on"},
    "clock_base": {0: "not_defined", 1: "crystal", 2: "mains_50hz", 3: "mains_60hz", 4: "gps", 5: "radio"},
}

_TEXT, _ENUM, _BITS, _TIME = Kind.TEXT, Kind.ENUM, Kind.BITS, Kind.TIMESTAMP

ROWS: tuple[Row, ...] = (
    # clock
    Row("0.*.1.0.*.255", "clock", "Clock", kind=_TIME, core=True),
    Row("0.*.1.0.*.255", "clock_time_zone", "Time zone", "number", attribute=3),
    Row("0.*.1.0.*.255", "clock_status", "Clock status", "number", _BITS, attribute=4),
    Row("0.*.1.0.*.255", "clock_base", "Clock base", "number", _ENUM, attribute=9, words="clock_base"),
    Row("0.*.1.1.0.255", "unix_clock", "UNIX clock", "number"),
    Row("0.*.1.2.0.255", "microseconds_clock", "Microseconds clock", "number"),
    # billing
    Row("0-1.*.0.1.0.255", "billing_counter", "Billing period counter", "count"),
    Row(
        "0-1.*.0.1.1.255",
        "billing_periods_available",
        "Billing periods available",
        "number",
    ),
    Row("0-1.*.0.1.2.255", "billing_time", "Last billing", kind=_TIME),
    Row("1.*.0.1.3.255", "billing_counter_2", "Billing period counter 2", "count"),
    Row("1.*.0.1.5.255", "billing_time_2", "Last billing 2", kind=_TIME),
    # identification
    Row("0.*.42.0.0.255", "logical_device_name", "Logical device name", kind=_TEXT, core=True),
    Row("0.0.96.1.0.255", "serial_number", "Serial number", kind=_TEXT, core=True),
    Row("0.0.96.1.1-9.255", "device_id_{e}", "Device ID {e}", kind=_TEXT),
    Row("0.0.96.1.10.255", "metering_point_id", "Metering point ID", kind=_TEXT),
    Row("0.0.96.1.255.255", "device_ids", "Device IDs", kind=_TEXT),
    Row("0.1-254.96.1.0.255", "mbus_{b}_serial_number", "M-Bus {b} serial number", kind=_TEXT),
    Row(
        "0.1-254.96.1.1-9.255",
        "mbus_{b}_device_id_{e}",
        "M-Bus {b} device ID {e}",
        kind=_TEXT,
    ),
    Row("1.*.0.0.0.255", "electricity_id", "Electricity ID", kind=_TEXT, core=True),
    Row("1.*.0.0.1-9.255", "electricity_id_{e}", "Electricity ID {e}", kind=_TEXT),
    Row(
        "1.*.96.1.0-9.255",
        "electricity_device_id_{e}",
        "Electricity device ID {e}",
        kind=_TEXT,
    ),
    Row("0-1.*.0.2.0.255", "firmware", "Firmware version", kind=_TEXT, core=True),
    Row("0-1.*.0.2.1.255", "parameter_record", "Parameter record number", kind=_TEXT),
    Row("0-1.*.0.2.2.255", "time_switch_program", "Time switch program", kind=_TEXT),
    Row("1.*.0.2.3.255", "ripple_control_program", "Ripple control program", kind=_TEXT),
    Row("1.*.0.2.4.255", "connection_diagram", "Connection diagram ID", kind=_TEXT),
    Row("1.*.0.2.7.255", "passive_calendar", "Passive calendar name", kind=_TEXT),
    Row("0-1.*.0.2.8.255", "firmware_signature", "Firmware signature", kind=_TEXT),
    Row("1.*.0.2.129.255", "list_version", "OBIS list version", kind=_TEXT, core=True),
    Row("1.*.0.9.1.255", "local_time", "Local time", kind=_TEXT),
    Row("1.*.0.9.2.255", "local_date", "Local date", kind=_TEXT),
    # how the meter is built and set
    Row(
        "1.*.0.3.0.255",
        "pulse_constant_active",
        "Pulse constant active energy",
        "number",
    ),
    Row(
        "1.*.0.3.1.255",
        "pulse_constant_reactive",
        "Pulse constant reactive energy",
        "number",
    ),
    Row(
        "1.*.0.3.2.255",
        "pulse_constant_apparent",
        "Pulse constant apparent energy",
        "number",
    ),
    Row("1.*.0.4.0,1.255", "reading_factor_{e}", "Reading factor {e}", "number"),
    Row("1.*.0.4.2.255", "current_transformer_ratio", "Current transformer ratio", "number"),
    Row("1.*.0.4.3.255", "voltage_transformer_ratio", "Voltage transformer ratio", "number"),
    Row("1.*.0.4.4.255", "transformer_ratio", "Transformer ratio", "number"),
    Row(
        "1.*.0.4.5.255",
        "current_transformer_secondary",
        "Current transformer ratio secondary",
        "number",
    ),
    Row(
        "1.*.0.4.6.255",
        "voltage_transformer_secondary",
        "Voltage transformer ratio secondary",
        "number",
    ),
    Row("1.*.0.6.0.255", "nominal_voltage", "Nominal voltage", "voltage"),
    Row("1.*.0.6.1.255", "nominal_current", "Nominal current", "current"),
    Row("1.*.0.6.2.255", "nominal_frequency", "Nominal frequency", "frequency"),
    Row("1.*.0.6.3.255", "maximum_current", "Maximum current", "current"),
    Row(
        "1.*.0.6.4.255",
        "reference_voltage",
        "Reference voltage for power quality",
        "voltage",
    ),
    Row("1.*.0.8.0.255", "demand_period", "Demand period", "duration"),
    Row("1.*.0.8.4.255", "recording_interval", "Recording interval", "duration"),
    Row("1.*.0.8.5.255", "recording_interval_2", "Recording interval 2", "duration"),
    Row("1.*.0.8.6.255", "billing_period", "Billing period", "duration"),
    # tariff
    Row("0.*.96.14.0.255", "tariff", "Active tariff", kind=_TEXT, core=True, category=""),
    Row("0.*.96.14.1-15.255", "tariff_{e}", "Active tariff {e}", kind=_TEXT, category=""),
    Row("0.*.13.0.0.255", "calendar", "Active calendar", kind=_TEXT),
    # supply switch and limits
    Row(
        "0.0.96.3.10.255",
        "disconnect_output",
        "Supply output",
        "number",
        _ENUM,
        category="",
        words="output",
    ),
    Row(
        "0.0.96.3.10.255",
        "disconnect_state",
        "Supply state",
        "number",
        _ENUM,
        True,
        "",
        3,
        "disconnect",
    ),
    Row("0.0.96.3.10.255", "disconnect_mode", "Supply control mode", "number", attribute=4),
    Row(
        "0.1-254.96.3.10.255",
        "relay_{b}_output",
        "Relay {b} output",
        "number",
        _ENUM,
        category="",
        words="output",
    ),
    Row(
        "0.1-254.96.3.10.255",
        "relay_{b}_state",
        "Relay {b} state",
        "number",
        _ENUM,
        category="",
        attribute=3,
        words="disconnect",
    ),
    Row(
        "0.1-254.96.3.10.255",
        "relay_{b}_mode",
        "Relay {b} control mode",
        "number",
        attribute=4,
    ),
    Row(
        "0.1-254.24.4.0.255",
        "mbus_{b}_valve_output",
        "M-Bus {b} valve output",
        "number",
        _ENUM,
        words="output",
    ),
    Row(
        "0.1-254.24.4.0.255",
        "mbus_{b}_valve_state",
        "M-Bus {b} valve state",
        "number",
        _ENUM,
        attribute=3,
        words="disconnect",
    ),
    Row(
        "0.1-254.24.4.0.255",
        "mbus_{b}_valve_mode",
        "M-Bus {b} valve control mode",
        "number",
        attribute=4,
    ),
    Row("0.*.17.0.0.255", "limiter_threshold", "Limiter active threshold", attribute=3),
    Row(
        "0.*.17.0.0.255",
        "limiter_threshold_normal",
        "Limiter normal threshold",
        attribute=4,
    ),
    Row(
        "0.*.17.0.1-9.255",
        "limiter_{e}_threshold",
        "Limiter {e} active threshold",
        attribute=3,
    ),
    Row("0.*.96.3.1.255", "input_state", "Input state", "number", _BITS),
    Row("0.*.96.3.2.255", "output_state", "Output state", "number", _BITS),
    Row(
        "0.*.96.3.3,4.255",
        "io_setting_{e}",
        "Input and output setting {e}",
        "number",
        _BITS,
    ),
    Row("0.*.96.4.0.255", "control_signals", "Control signals", "number", _BITS),
    Row("0.*.96.4.1-4.255", "control_signals_{e}", "Control signals {e}", "number", _BITS),
    # status, errors, alarms
    Row("0-1.*.96.5.0.255", "operating_status", "Operating status", "number", _BITS, core=True),
    Row("0-1.*.96.5.1-9.255", "operating_status_{e}", "Operating status {e}", "number", _BITS),
    Row("0.*.96.10.0-9.255", "status_word_{e}", "Status word {e}", "number", _BITS),
    Row("0.*.97.97.0.255", "error", "Error register", "number", _BITS, core=True),
    Row("0.*.97.97.1-9.255", "error_{e}", "Error register {e}", "number", _BITS),
    Row("0.*.97.98.0.255", "alarm", "Alarm register", "number", _BITS, core=True),
    Row("0.*.97.98.1-9.255", "alarm_{e}", "Alarm register {e}", "number", _BITS),
    Row("0.*.97.98.10-19.255", "alarm_filter_{e}", "Alarm filter {e}", "number", _BITS),
    Row("0.*.97.98.20-29.255", "alarm_descriptor_{e}", "Alarm descriptor {e}", "number", _BITS),
    Row("1.*.97.97.0.255", "electricity_error", "Electricity error register", "number", _BITS),
    Row("0.*.96.11.0.255", "event_code", "Last event", "number"),
    Row("0.*.96.11.1-99.255", "event_code_{e}", "Last event of log {e}", "number"),
    Row("0.*.96.15.0.255", "event_counter", "Event counter", "count"),
    Row("0.*.96.15.1-99.255", "event_counter_{e}", "Event counter {e}", "count"),
    Row("0.*.96.2.0.255", "configuration_changes", "Configuration changes", "count"),
    Row(
        "0.*.96.2.1.255",
        "configuration_change_time",
        "Last configuration change",
        kind=_TIME,
    ),
    Row(
        "0.*.96.2.2.255",
        "time_switch_change_time",
        "Last time switch program change",
        kind=_TIME,
    ),
    Row(
        "0.*.96.2.3.255",
        "ripple_control_change_time",
        "Last ripple control change",
        kind=_TIME,
    ),
    Row("0.*.96.2.5.255", "calibration_time", "Last calibration", kind=_TIME),
    Row("0.*.96.2.12.255", "clock_change_time", "Last clock adjustment", kind=_TIME),
    Row("0.*.96.20.0.255", "cover_openings", "Meter cover openings", "count"),
    Row("0.*.96.20.1.255", "cover_opening_time", "Last meter cover opening", kind=_TIME),
    Row("0.*.96.20.5.255", "terminal_cover_openings", "Terminal cover openings", "count"),
    Row(
        "0.*.96.20.6.255",
        "terminal_cover_opening_time",
        "Last terminal cover opening",
        kind=_TIME,
    ),
    Row("0.*.96.20.15.255", "magnetic_field_events", "Strong magnetic field events", "count"),
    Row("0.*.96.20.16.255", "magnetic_field_time", "Last strong magnetic field", kind=_TIME),
    # outages
    Row("0.*.96.7.0.255", "outages_all_phases", "Power outages in all phases", "count"),
    Row("0.*.96.7.1-3.255", "outages_l{e}", "Power outages L{e}", "count"),
    Row("0.*.96.7.4.255", "outages_auxiliary", "Auxiliary supply outages", "count"),
    Row(
        "0.*.96.7.5.255",
        "long_outages_all_phases",
        "Long power outages in all phases",
        "count",
    ),
    Row("0.*.96.7.6-8.255", "long_outages_l{e5}", "Long power outages L{e5}", "count"),
    Row("0.*.96.7.9.255", "long_outages", "Long power outages", "count"),
    Row("0.*.96.7.10-14.255", "outage_time_{e}", "Time of power outage {e}", kind=_TIME),
    Row(
        "0.*.96.7.15-19.255",
        "outage_duration_{e}",
        "Duration of power outage {e}",
        "duration",
    ),
    Row(
        "0.*.96.7.20.255",
        "long_outage_threshold",
        "Long power outage threshold",
        "duration",
    ),
    Row("0.*.96.7.21.255", "outages", "Power outages", "count"),
    # service
    Row("0.*.96.6.0.255", "battery_use_time", "Battery use time", "operating_time"),
    Row("0.*.96.6.1.255", "battery_charge", "Battery charge", "number"),
    Row("0.*.96.6.2.255", "battery_change_time", "Next battery change", kind=_TIME),
    Row("0.*.96.6.3.255", "battery_voltage", "Battery voltage", "voltage"),
    Row("0.*.96.6.4.255", "battery_initial_capacity", "Battery initial capacity", "charge"),
    Row("0.*.96.6.5.255", "battery_installed", "Battery installed", kind=_TIME),
    Row("0.*.96.6.6.255", "battery_remaining", "Battery time remaining", "duration"),
    Row("0.*.96.8.0.255", "operating_time", "Operating time", "operating_time"),
    Row(
        "0.*.96.8.1-63.255",
        "operating_time_t{e}",
        "Operating time tariff {e}",
        "operating_time",
    ),
    Row("0.*.96.9.0.255", "temperature", "Temperature", "temperature"),
    Row("0.*.96.9.1.255", "ambient_pressure", "Ambient pressure", "pressure"),
    Row("0.*.96.9.2.255", "humidity", "Relative humidity", "percent"),
    Row("0.*.96.12.5.255", "field_strength", "Radio field strength", "signal"),
    Row("0.*.96.12.1.255", "connections", "Communication connections", "count"),
    Row("0.*.96.13.0.255", "message", "Message to the consumer", kind=_TEXT, category=""),
    Row("0.*.96.13.1.255", "message_display", "Message on the display", kind=_TEXT, category=""),
    Row(
        "0.*.96.13.2-9.255",
        "message_{e}",
        "Message to the consumer {e}",
        kind=_TEXT,
        category="",
    ),
    # communication
    Row("0.*.43.1.*.255", "invocation_counter_{e}", "Invocation counter {e}", "number"),
    Row("0.*.25.2.0.255", "mac_address", "MAC address", kind=_TEXT),
    Row("0.*.25.6.0.255", "mobile_operator", "Mobile operator", kind=_TEXT),
    Row(
        "0.*.44.0.0.255",
        "image_transfer_status",
        "Image transfer status",
        "number",
        attribute=6,
    ),
    # other meters on the M-Bus
    Row("0.1-254.24.2.1.*", "mbus_{b}", "M-Bus {b}", core=True, category=""),
    Row("0.1-254.24.2.2-15.*", "mbus_{b}_value_{e}", "M-Bus {b} value {e}", category=""),
    Row(
        "0.1-254.24.1.0.255",
        "mbus_{b}_identification",
        "M-Bus {b} identification number",
        "number",
        attribute=6,
    ),
    Row(
        "0.1-254.24.1.0.255",
        "mbus_{b}_device_type",
        "M-Bus {b} device type",
        "number",
        attribute=9,
    ),
    Row("0.1-254.24.1.0.255", "mbus_{b}_status", "M-Bus {b} status", "number", _BITS, attribute=11),
    Row("0.1-254.24.1.0.255", "mbus_{b}_alarm", "M-Bus {b} alarm", "number", _BITS, attribute=12),
    # electricity that the combined tables do not have
    Row("1.*.82.8.0.*", "pulse_count", "Pulse count", "count", category=""),
    Row("1.*.83.8.0.*", "line_loss", "Line and transformer losses", "energy", category=""),
    Row("1.*.88.8.0.*", "ampere_squared_hours", "Ampere-squared hours", "number", category=""),
    Row("1.*.89.8.0.*", "volt_squared_hours", "Volt-squared hours", "number", category=""),
    # heat cost allocator, cooling, heat
    Row("4.*.1.0.0.255", "heat_cost", "Heat cost units", "count", category=""),
    Row("5.*.1.0.0.255", "cooling_energy", "Cooling energy", "energy", core=True, category=""),
    Row("5.*.2.0.0.255", "cooling_volume", "Cooling volume", "volume", category=""),
    Row("5.*.8.0.0.255", "cooling_power", "Cooling power", "power", category=""),
    Row("6.*.1.0.0.255", "heat_energy", "Heat energy", "energy", core=True, category=""),
    Row("6.*.2.0.0.255", "heat_volume", "Heat volume", "volume", category=""),
    Row("6.*.8.0.0.255", "heat_power", "Heat power", "power", core=True, category=""),
    Row("6.*.9.0.0.255", "heat_flow", "Heat flow rate", "flow", category=""),
    Row("5-6.*.10.0.0.255", "flow_temperature", "Flow temperature", "temperature", category=""),
    Row("5-6.*.11.0.0.255", "return_temperature", "Return temperature", "temperature", category=""),
    Row("5-6.*.12.0.0.255", "temperature_difference", "Temperature difference", category=""),
    # gas, water
    Row("7.*.0.0.0.255", "gas_id", "Gas meter ID", kind=_TEXT, core=True),
    Row("7.*.3.0.0.255", "gas_volume", "Gas volume", "gas", core=True, category=""),
    Row("7.*.3.1.0.255", "gas_volume_converted", "Gas volume converted", "gas", category=""),
    Row(
        "7.*.3.2.0.255",
        "gas_volume_base",
        "Gas volume at base conditions",
        "gas",
        category="",
    ),
    Row("7.*.43.0.0.255", "gas_flow", "Gas flow rate", "flow", category=""),
    Row("7.*.41.0.0.255", "gas_temperature", "Gas temperature", "temperature", category=""),
    Row("7.*.42.0.0.255", "gas_pressure", "Gas pressure", "pressure", category=""),
    Row("8.*.1.0.0.255", "water_volume", "Cold water volume", "water", core=True, category=""),
    Row("8.*.2.0.0.255", "water_flow", "Cold water flow rate", "flow", category=""),
    Row("9.*.1.0.0.255", "hot_water_volume", "Hot water volume", "water", core=True, category=""),
    Row("9.*.2.0.0.255", "hot_water_flow", "Hot water flow rate", "flow", category=""),
)

TABLE = PatternTable((row.pattern, row) for row in ROWS)
