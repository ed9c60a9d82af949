"""Interface classes for time- and event-bound control.

Source: Blue Book ed. 12, clause 4.5; IEC 62056-6-2.
"""

from __future__ import annotations

from dlms_mqtt.cosem.rows.row import Row

_PARAMETER_MONITOR = "changed_parameter:structure capture_time:choice parameter_list:array"

ROWS = (
    Row(
        8,
        (0,),
        "Clock",
        "time:octet-string/value time_zone:long status:unsigned daylight_savings_begin:octet-string "
        "daylight_savings_end:octet-string daylight_savings_deviation:integer daylight_savings_enabled:boolean "
        "clock_base:enum",
        "adjust_to_quarter:integer adjust_to_measuring_period:integer adjust_to_minute:integer "
        "adjust_to_preset_time:integer preset_adjusting_time:structure shift_time:long",
        0x60,
    ),
    Row(9, (0,), "Script table", "scripts:array", "execute:long-unsigned", 0x20),
    Row(10, (0,), "Schedule", "entries:array", "enable_disable:structure insert:structure delete:structure", 0x20),
    Row(11, (0,), "Special days table", "entries:array", "insert:structure delete:long-unsigned", 0x10),
    Row(
        20,
        (0,),
        "Activity calendar",
        "calendar_name_active:octet-string season_profile_active:array week_profile_table_active:array "
        "day_profile_table_active:array calendar_name_passive:octet-string season_profile_passive:array "
        "week_profile_table_passive:array day_profile_table_passive:array "
        "activate_passive_calendar_time:octet-string",
        "activate_passive_calendar:integer",
        0x50,
    ),
    Row(21, (0,), "Register monitor", "thresholds:array monitored_value:structure actions:array"),
    Row(22, (0,), "Single action schedule", "executed_script:structure type:enum execution_time:array"),
    Row(
        65,
        (0,),
        "Parameter monitor",
        _PARAMETER_MONITOR,
        "add_parameter:structure delete_parameter:structure",
        0x20,
    ),
    Row(
        65,
        (1,),
        "Parameter monitor",
        _PARAMETER_MONITOR + " parameter_list_name:octet-string hash_algorithm_id:enum "
        "parameter_value_digest:octet-string parameter_values:structure",
        "add_parameter:structure delete_parameter:structure",
    ),
    Row(
        67,
        (0,),
        "Sensor manager",
        "serial_number:octet-string metrological_identification:octet-string output_type:enum adjustment_method:enum "
        "sealing_method:enum raw_value:choice/value scaler_unit:structure status:choice capture_time:choice/time "
        "raw_value_thresholds:array raw_value_actions:array processed_value:structure "
        "processed_value_thresholds:array processed_value_actions:array",
        "reset:integer",
        0x80,
    ),
    Row(
        68,
        (0,),
        "Arbitrator",
        "actions:array permissions_table:array weightings_table:array most_recent_requests_table:array "
        "last_outcome:unsigned",
        "request_action:structure reset:integer",
    ),
    Row(
        70,
        (0, 1),
        "Disconnect control",
        "output_state:boolean control_state:enum/value control_mode:enum",
        "remote_disconnect:integer remote_reconnect:integer",
        0x20,
    ),
    Row(
        71,
        (0,),
        "Limiter",
        "monitored_value:structure threshold_active:choice/value threshold_normal:choice threshold_emergency:choice "
        "min_over_threshold_duration:double-long-unsigned min_under_threshold_duration:double-long-unsigned "
        "emergency_profile:structure emergency_profile_group_id_list:array emergency_profile_active:boolean "
        "actions:structure",
    ),
    Row(
        8192,
        (0,),
        "Tariff plan (Italy)",
        "calendar_name:octet-string enabled:boolean plan:structure activation_time:octet-string",
    ),
)
