"""Interface classes for power line carriers: S-FSK, IEC 8802-2 links, PRIME and G3.

Source: Blue Book ed. 12, clauses 4.10 (S-FSK), 4.11 (ISO/IEC 8802-2 LLC), 4.12 (PRIME), 4.13 (G3); IEC 62056-6-2.
"""

from __future__ import annotations

from dlms_mqtt.cosem.rows.row import Row

_COUNTER = ":double-long-unsigned "
_SFSK_SETUP = (
    "initiator_electrical_phase:enum delta_electrical_phase:enum max_receiving_gain:unsigned "
    "max_transmitting_gain:unsigned search_initiator_threshold:unsigned frequencies:structure "
    "mac_address:long-unsigned mac_group_addresses:array repeater:enum repeater_status:boolean "
    "min_delta_credit:unsigned initiator_mac_address:long-unsigned synchronization_locked:boolean "
    "transmission_speed:enum"
)
_G3_MAC = (
    "mac_short_address:long-unsigned mac_rc_coord:long-unsigned mac_pan_id:long-unsigned mac_key_table:array "
    "mac_frame_counter:double-long-unsigned mac_tone_mask:bit-string mac_tmr_ttl:unsigned "
    "mac_max_frame_retries:unsigned mac_neighbour_table_entry_ttl:unsigned mac_neighbour_table:array "
    "mac_high_priority_window_size:unsigned mac_csma_fairness_limit:unsigned "
    "mac_beacon_randomization_window_length:unsigned mac_a:unsigned mac_k:unsigned mac_min_cw_attempts:unsigned "
    "mac_cenelec_legacy_mode:unsigned mac_fcc_legacy_mode:unsigned mac_max_be:unsigned "
    "mac_max_csma_backoffs:unsigned mac_min_be:unsigned"
)
_G3_MAC_2 = " mac_broadcast_max_cw_enabled:boolean mac_transmit_atten:unsigned mac_pos_table:array"
_G3_MAC_METHODS = "mac_get_neighbour_table_entry:long-unsigned"
_G3_ADAPTATION = (
    "adp_max_hops:unsigned adp_weak_lqi_value:unsigned adp_security_level:unsigned adp_prefix_table:array "
    "adp_routing_configuration:array adp_broadcast_log_table_entry_ttl:long-unsigned adp_routing_table:array "
    "adp_context_information_table:array adp_blacklist_table:array adp_broadcast_log_table:array "
    "adp_group_table:array adp_max_join_wait_time:long-unsigned adp_path_discovery_time:unsigned "
    "adp_active_key_index:unsigned adp_metric_type:unsigned"
)
_G3_ADAPTATION_1 = " adp_coord_short_address:long-unsigned adp_disable_default_routing:boolean adp_device_type:enum"
_G3_ADAPTATION_2 = " adp_default_coord_route_enabled:boolean adp_destination_address_set:array"
_G3_ADAPTATION_3 = " adp_low_lqi_value:unsigned adp_high_lqi_value:unsigned"

ROWS = (
    Row(50, (0, 1), "S-FSK Phy&MAC setup", _SFSK_SETUP),
    Row(51, (0,), "S-FSK active initiator", "active_initiator:structure", "reset_new_not_synchronized:integer"),
    Row(
        52,
        (0,),
        "S-FSK MAC synchronization timeouts",
        "search_initiator_timeout:long-unsigned synchronization_confirmation_timeout:long-unsigned "
        "time_out_not_addressed:long-unsigned time_out_frame_not_ok:long-unsigned",
    ),
    Row(
        53,
        (0,),
        "S-FSK MAC counters",
        "synchronization_register:array desynchronization_listing:structure broadcast_frames_counter:array "
        "repetitions_counter:double-long-unsigned transmissions_counter:double-long-unsigned "
        "crc_ok_frames_counter:double-long-unsigned crc_nok_frames_counter:double-long-unsigned",
        "reset:integer",
    ),
    Row(55, (0, 1), "IEC 61334-4-32 LLC setup", "max_frame_length:unsigned reply_status_list:array"),
    Row(56, (0,), "S-FSK reporting system list", "reporting_system_list:array"),
    Row(57, (0,), "IEC 8802-2 LLC type 1 setup", "max_octets_ui_pdu:long-unsigned"),
    Row(
        58,
        (0,),
        "IEC 8802-2 LLC type 2 setup",
        "transmit_window_size_k:unsigned receive_window_size_rw:unsigned max_octets_i_pdu_n1:long-unsigned "
        "max_number_transmissions_n2:unsigned acknowledgement_timer:long-unsigned p_bit_timer:long-unsigned "
        "reject_timer:long-unsigned busy_state_timer:long-unsigned",
    ),
    Row(
        59,
        (0,),
        "IEC 8802-2 LLC type 3 setup",
        "max_octets_acn_pdu_n3:long-unsigned max_number_transmissions_n4:unsigned "
        "acknowledgement_time_t1:long-unsigned receive_lifetime_var_t2:long-unsigned "
        "transmit_lifetime_var_t3:long-unsigned",
    ),
    Row(
        80,
        (0,),
        "IEC 61334-4-32 LLC SSCS setup",
        "service_node_address:long-unsigned base_node_address:long-unsigned",
        "reset:integer",
    ),
    Row(
        81,
        (0,),
        "PRIME NB OFDM PLC physical layer counters",
        "phy_stats_crc_incorrect_count:long-unsigned phy_stats_crc_fail_count:long-unsigned "
        "phy_stats_tx_drop_count:long-unsigned phy_stats_rx_drop_count:long-unsigned",
        "reset:integer",
    ),
    Row(
        82,
        (0,),
        "PRIME NB OFDM PLC MAC setup",
        "mac_min_switch_search_time:unsigned mac_max_promotion_pdu:unsigned mac_promotion_pdu_tx_period:unsigned "
        "mac_beacons_per_frame:unsigned mac_scp_max_tx_attempts:unsigned mac_ctl_re_tx_timer:unsigned "
        "mac_max_ctl_re_tx:unsigned",
    ),
    Row(
        83,
        (0,),
        "PRIME NB OFDM PLC MAC functional parameters",
        "mac_lnid:long mac_lsid:unsigned mac_sid:unsigned mac_sna:octet-string mac_state:enum mac_scp_length:long "
        "mac_node_hierarchy_level:unsigned mac_beacon_slot_count:unsigned mac_beacon_rx_slot:unsigned "
        "mac_beacon_tx_slot:unsigned mac_beacon_rx_frequency:unsigned mac_beacon_tx_frequency:unsigned "
        "mac_capabilities:long-unsigned",
    ),
    Row(
        84,
        (0,),
        "PRIME NB OFDM PLC MAC counters",
        "mac_tx_data_pkt_count"
        + _COUNTER
        + "mac_rx_data_pkt_count"
        + _COUNTER
        + "mac_tx_ctrl_pkt_count"
        + _COUNTER
        + "mac_rx_ctrl_pkt_count"
        + _COUNTER
        + "mac_csma_fail_count"
        + _COUNTER
        + "mac_csma_ch_busy_count"
        + _COUNTER,
        "reset:integer",
    ),
    Row(
        85,
        (0,),
        "PRIME NB OFDM PLC MAC network administration data",
        "mac_list_multicast_entries:array mac_list_switch_table:array mac_list_direct_table:array "
        "mac_list_available_switches:array mac_list_phy_comm:array",
        "reset:integer",
    ),
    Row(
        86,
        (0,),
        "PRIME NB OFDM PLC application identification",
        "firmware_version:octet-string vendor_id:long-unsigned product_id:long-unsigned",
    ),
    Row(
        90,
        (0, 1),
        "G3-PLC MAC layer counters",
        "mac_tx_data_packet_count"
        + _COUNTER
        + "mac_rx_data_packet_count"
        + _COUNTER
        + "mac_tx_cmd_packet_count"
        + _COUNTER
        + "mac_rx_cmd_packet_count"
        + _COUNTER
        + "mac_csma_fail_count"
        + _COUNTER
        + "mac_csma_no_ack_count"
        + _COUNTER
        + "mac_bad_crc_count"
        + _COUNTER
        + "mac_tx_data_broadcast_count"
        + _COUNTER
        + "mac_rx_data_broadcast_count"
        + _COUNTER,
        "reset:integer",
    ),
    Row(91, (0, 1), "G3-PLC MAC setup", _G3_MAC, _G3_MAC_METHODS),
    Row(91, (2,), "G3-PLC MAC setup", _G3_MAC + _G3_MAC_2, _G3_MAC_METHODS),
    Row(
        91,
        (3,),
        "G3-PLC MAC setup",
        _G3_MAC + _G3_MAC_2 + " mac_duplicate_detection_ttl:unsigned",
        _G3_MAC_METHODS + " mac_get_pos_table_entry:long-unsigned",
    ),
    Row(92, (0,), "G3-PLC 6LoWPAN adaptation layer setup", _G3_ADAPTATION),
    Row(92, (1,), "G3-PLC 6LoWPAN adaptation layer setup", _G3_ADAPTATION + _G3_ADAPTATION_1),
    Row(
        92,
        (2,),
        "G3-PLC 6LoWPAN adaptation layer setup",
        _G3_ADAPTATION + _G3_ADAPTATION_1 + _G3_ADAPTATION_2,
    ),
    Row(
        92,
        (3,),
        "G3-PLC 6LoWPAN adaptation layer setup",
        _G3_ADAPTATION + _G3_ADAPTATION_1 + _G3_ADAPTATION_2 + _G3_ADAPTATION_3,
    ),
)
