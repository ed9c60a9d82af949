"""Interface classes for parameters and measurement data.

Source: Blue Book ed. 12, clause 4.3; IEC 62056-6-2.
"""

from __future__ import annotations

from dlms_mqtt.cosem.rows.row import Row

_PROFILE = (
    "buffer:array capture_objects:array capture_period:double-long-unsigned sort_method:enum sort_object:structure "
    "entries_in_use:double-long-unsigned profile_entries:double-long-unsigned"
)

ROWS = (
    Row(1, (0,), "Data", "value:choice/value"),
    Row(3, (0,), "Register", "value:choice/value scaler_unit:structure", "reset:integer", 0x28),
    Row(
        4,
        (0,),
        "Extended register",
        "value:choice/value scaler_unit:structure status:choice capture_time:octet-string/time",
        "reset:integer",
        0x38,
    ),
    Row(
        5,
        (0,),
        "Demand register",
        "current_average_value:choice/value last_average_value:choice/value scaler_unit:structure status:choice "
        "capture_time:octet-string/time start_time_current:octet-string period:double-long-unsigned "
        "number_of_periods:long-unsigned",
        "reset:integer next_period:integer",
        0x48,
    ),
    Row(
        6,
        (0,),
        "Register activation",
        "register_assignment:array mask_list:array active_mask:octet-string",
        "add_register:structure add_mask:structure delete_mask:octet-string",
        0x30,
    ),
    Row(
        7,
        (0,),
        "Profile generic",
        _PROFILE,
        "reset:integer capture:integer get_buffer_by_range:structure get_buffer_by_index:structure",
        0x58,
    ),
    Row(7, (1,), "Profile generic", _PROFILE, "reset:integer capture:integer", 0x58),
    Row(26, (0,), "Utility tables", "table_id:long-unsigned length:double-long-unsigned buffer:octet-string"),
    Row(
        61,
        (0,),
        "Register table",
        "table_cell_values:choice/values table_cell_definition:structure scaler_unit:structure",
        "reset:integer capture:integer",
        0x28,
    ),
    Row(
        62,
        (0, 1),
        "Compact data",
        "compact_buffer:octet-string capture_objects:array template_id:unsigned template_description:octet-string "
        "capture_method:enum",
        "reset:integer capture:integer",
    ),
    Row(63, (0,), "Status mapping", "status_word:choice mapping_table:structure"),
)
