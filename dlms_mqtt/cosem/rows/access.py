"""Interface classes for access control and management.

Source: Blue Book ed. 12, clause 4.4; IEC 62056-6-2.
"""

from __future__ import annotations

from dlms_mqtt.cosem.rows.row import Row

_ASSOCIATION_LN = (
    "object_list:array associated_partners_id:structure application_context_name:choice xdlms_context_info:structure "
    "authentication_mechanism_name:choice secret:octet-string association_status:enum"
)
_LN_METHODS = (
    "reply_to_hls_authentication:octet-string change_hls_secret:octet-string add_object:structure "
    "remove_object:structure"
)
_LN_USERS = " user_list:array current_user:structure"
_USER_METHODS = " add_user:structure remove_user:structure"
_SECURITY = "security_policy:enum security_suite:enum client_system_title:octet-string server_system_title:octet-string"
_PUSH = (
    "push_object_list:array send_destination_and_method:structure communication_window:array "
    "randomisation_start_interval:long-unsigned number_of_retries:unsigned "
)
_PUSH_1 = " port_reference:octet-string push_client_sap:integer push_protection_parameters:array"
_PUSH_2 = " push_operation_method:enum confirmation_parameters:structure last_confirmation_date_time:choice"

ROWS = (
    Row(
        12,
        (0, 1),
        "Association SN",
        "object_list:array",
        "getlist_by_classid:long-unsigned getobj_by_logicalname:octet-string read_by_logicalname:array "
        "get_attributes_services:array change_lls_secret:octet-string change_hls_secret:octet-string "
        "get_hls_challenge:octet-string reply_to_hls_challenge:octet-string",
        0x20,
    ),
    Row(
        12,
        (2,),
        "Association SN",
        "object_list:array access_rights_list:array security_setup_reference:octet-string",
        "3=read_by_logicalname:array 4=get_attributes_methods:array 5=change_lls_secret:octet-string "
        "6=change_hls_secret:octet-string 8=reply_to_hls_authentication:octet-string",
        0x20,
    ),
    Row(
        12,
        (3, 4),
        "Association SN",
        "object_list:array access_rights_list:array security_setup_reference:octet-string user_list:array "
        "current_user:structure",
        "3=read_by_logicalname:array 4=get_attributes_methods:array 5=change_lls_secret:octet-string "
        "6=change_hls_secret:octet-string 8=reply_to_hls_authentication:octet-string 9=add_user:structure "
        "10=remove_user:structure",
        0x20,
    ),
    Row(15, (0,), "Association LN", _ASSOCIATION_LN, _LN_METHODS, 0x60),
    Row(15, (1,), "Association LN", _ASSOCIATION_LN + " security_setup_reference:octet-string", _LN_METHODS, 0x60),
    Row(
        15,
        (2, 3),
        "Association LN",
        _ASSOCIATION_LN + " security_setup_reference:octet-string" + _LN_USERS,
        _LN_METHODS + _USER_METHODS,
        0x60,
    ),
    Row(17, (0,), "SAP assignment", "sap_assignment_list:array", "connect_logical_device:structure", 0x20),
    Row(
        18,
        (0, 1),
        "Image transfer",
        "image_block_size:double-long-unsigned image_transferred_blocks_status:bit-string "
        "image_first_not_transferred_block_number:double-long-unsigned image_transfer_enabled:boolean "
        "image_transfer_status:enum image_to_activate_info:array",
        "image_transfer_initiate:structure image_block_transfer:structure image_verify:integer image_activate:integer",
        0x40,
    ),
    Row(
        30,
        (0,),
        "Data protection",
        "protection_buffer:octet-string protection_object_list:array protection_parameters_get:array "
        "protection_parameters_set:array required_protection:enum",
        "get_protected_attributes:structure set_protected_attributes:structure invoke_protected_method:structure",
    ),
    Row(40, (0,), "Push setup", _PUSH + "repetition_delay:long-unsigned", "push:integer", 0x38),
    Row(40, (1,), "Push setup", _PUSH + "repetition_delay:long-unsigned" + _PUSH_1, "push:integer"),
    Row(
        40, (2, 3), "Push setup", _PUSH + "repetition_delay:structure" + _PUSH_1 + _PUSH_2, "push:integer reset:integer"
    ),
    Row(64, (0,), "Security setup", _SECURITY, "security_activate:enum global_key_transfer:array", 0x28),
    Row(
        64,
        (1,),
        "Security setup",
        _SECURITY + " certificates:array",
        "security_activate:enum key_transfer:array key_agreement:array generate_key_pair:enum "
        "generate_certificate_request:enum import_certificate:octet-string export_certificate:structure "
        "remove_certificate:structure",
        0x30,
    ),
    Row(
        122,
        (0,),
        "Function control",
        "activation_status:array function_list:array",
        "set_function_status:array add_function:structure remove_function:structure",
    ),
    Row(
        123,
        (0,),
        "Array manager",
        "array_object_list:array",
        "retrieve_number_of_entries:unsigned retrieve_entries:structure insert_entry:structure "
        "update_entry:structure remove_entries:structure",
    ),
    Row(
        124,
        (0,),
        "Communication port protection",
        "protection_mode:enum allowed_failed_attempts:long-unsigned initial_lockout_time:double-long-unsigned "
        "steepness_factor:unsigned max_lockout_time:double-long-unsigned port_reference:octet-string "
        "protection_status:enum failed_attempts:double-long-unsigned cumulative_failed_attempts:double-long-unsigned",
        "reset:integer",
    ),
)
