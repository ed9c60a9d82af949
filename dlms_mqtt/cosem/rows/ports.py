"""Interface classes for local ports, modems and M-Bus.

Source: Blue Book ed. 12, clauses 4.7 (local ports and modems) and 4.8 (M-Bus); IEC 62056-6-2.
"""

from __future__ import annotations

from dlms_mqtt.cosem.rows.row import Row

_AUTO_ANSWER = "mode:enum listening_window:array status:enum number_of_calls:unsigned number_of_rings:structure"
_AUTO_CONNECT = "mode:enum repetitions:unsigned repetition_delay:long-unsigned calling_window:array "
_MBUS_CLIENT = (
    "mbus_port_reference:octet-string capture_definition:array capture_period:double-long-unsigned "
    "primary_address:unsigned identification_number:double-long-unsigned manufacturer_id:long-unsigned "
    "version:unsigned device_type:unsigned/value access_number:unsigned status:unsigned alarm:unsigned"
)
_MBUS_METHODS = (
    "slave_install:unsigned slave_deinstall:integer capture:integer reset_alarm:integer synchronize_clock:integer "
    "data_send:array set_encryption_key:octet-string transfer_key:octet-string"
)
_GSM = (
    "operator:visible-string status:enum cs_attachment:enum ps_status:enum cell_info:structure adjacent_cells:array "
    "capture_time:choice"
)

ROWS = (
    Row(
        19,
        (0, 1),
        "IEC local port setup",
        "default_mode:enum default_baud:enum prop_baud:enum response_time:enum device_addr:octet-string "
        "pass_p1:octet-string pass_p2:octet-string pass_w5:octet-string",
    ),
    Row(
        23,
        (0, 1),
        "IEC HDLC setup",
        "comm_speed:enum window_size_transmit:unsigned window_size_receive:unsigned "
        "max_info_field_length_transmit:long-unsigned max_info_field_length_receive:long-unsigned "
        "inter_octet_time_out:long-unsigned inactivity_time_out:long-unsigned device_address:long-unsigned",
    ),
    Row(
        24,
        (0, 1),
        "IEC twisted pair (1) setup",
        "mode:enum speed:enum primary_address_list:array tabi_list:array",
    ),
    Row(
        25,
        (0,),
        "M-Bus slave port setup",
        "default_baud:enum avail_baud:enum addr_state:enum bus_address:unsigned",
    ),
    Row(27, (0, 1), "Modem configuration", "comm_speed:enum initialization_string:array modem_profile:array"),
    Row(28, (0,), "Auto answer", _AUTO_ANSWER),
    Row(28, (1, 2), "Auto answer", _AUTO_ANSWER + " list_of_allowed_callers:array"),
    Row(29, (0,), "PSTN auto dial", _AUTO_CONNECT + "phone_list:array"),
    Row(29, (1,), "Auto connect", _AUTO_CONNECT + "destination_list:array"),
    Row(29, (2,), "Auto connect", _AUTO_CONNECT + "destination_list:array", "connect:integer"),
    Row(45, (0,), "GPRS modem setup", "apn:octet-string pin_code:long-unsigned quality_of_service:structure"),
    Row(47, (0, 1, 2), "GSM diagnostic", _GSM),
    Row(72, (0,), "M-Bus client", _MBUS_CLIENT, _MBUS_METHODS, 0x60),
    Row(
        72,
        (1, 2),
        "M-Bus client",
        _MBUS_CLIENT + " configuration:long-unsigned encryption_key_status:enum",
        _MBUS_METHODS,
        0x70,
    ),
    Row(
        73,
        (0, 1),
        "Wireless mode Q channel",
        "addr_state:enum device_address:octet-string address_mask:octet-string",
    ),
    Row(74, (0,), "M-Bus master port setup", "comm_speed:enum"),
    Row(
        76,
        (0,),
        "DLMS server M-Bus port setup",
        "profile_selection:octet-string port_communication_status:enum data_header_type:enum "
        "primary_address:unsigned identification_number:double-long-unsigned manufacturer_id:long-unsigned "
        "version:unsigned device_type:unsigned max_pdu_size:long-unsigned listening_window:array",
    ),
    Row(
        77,
        (0,),
        "M-Bus diagnostic",
        "received_signal_strength:unsigned channel_id:unsigned link_status:enum broadcast_frames_counter:array "
        "transmissions_counter:double-long-unsigned fcs_ok_frames_counter:double-long-unsigned "
        "fcs_nok_frames_counter:double-long-unsigned capture_time:structure",
        "reset:integer",
    ),
    Row(151, (0, 1), "LTE monitoring", "lte_network_parameters:structure lte_quality_of_service:structure"),
)
