"""Interface classes for the Internet and for ZigBee.

Source: Blue Book ed. 12, clauses 4.9 (Internet) and 4.14 (ZigBee), CoAP in newer editions; IEC 62056-6-2.
"""

from __future__ import annotations

from dlms_mqtt.cosem.rows.row import Row

ROWS = (
    Row(
        41,
        (0,),
        "TCP-UDP setup",
        "tcp_udp_port:long-unsigned ip_reference:octet-string mss:long-unsigned nb_of_sim_conn:unsigned "
        "inactivity_time_out:long-unsigned",
    ),
    Row(
        42,
        (0,),
        "IPv4 setup",
        "dl_reference:octet-string ip_address:double-long-unsigned multicast_ip_address:array ip_options:array "
        "subnet_mask:double-long-unsigned gateway_ip_address:double-long-unsigned use_dhcp_flag:boolean "
        "primary_dns_address:double-long-unsigned secondary_dns_address:double-long-unsigned",
        "add_mc_ip_address:double-long-unsigned delete_mc_ip_address:double-long-unsigned "
        "get_nbof_mc_ip_addresses:integer",
        0x60,
    ),
    Row(43, (0,), "MAC address setup", "mac_address:octet-string"),
    Row(
        44,
        (0,),
        "PPP setup",
        "phy_reference:octet-string lcp_options:array ipcp_options:array ppp_authentication:choice",
    ),
    Row(
        46,
        (0,),
        "SMTP setup",
        "server_port:long-unsigned user_name:octet-string login_password:octet-string server_address:octet-string "
        "sender_address:octet-string",
    ),
    Row(
        48,
        (0,),
        "IPv6 setup",
        "dl_reference:octet-string address_config_mode:enum unicast_ipv6_addresses:array "
        "multicast_ipv6_addresses:array gateway_ipv6_addresses:array primary_dns_address:octet-string "
        "secondary_dns_address:octet-string traffic_class:unsigned neighbor_discovery_setup:array",
        "add_ipv6_address:structure remove_ipv6_address:structure",
    ),
    Row(
        100,
        (0,),
        "NTP setup",
        "activated:boolean server_address:octet-string server_port:long-unsigned authentication_method:enum "
        "authentication_keys:array client_key:octet-string",
        "synchronize:integer add_authentication_key:structure delete_authentication_key:choice",
        0x38,
    ),
    Row(
        101,
        (0,),
        "ZigBee SAS startup",
        "short_address:long-unsigned extended_pan_id:octet-string pan_id:long-unsigned "
        "channel_mask:double-long-unsigned protocol_version:unsigned stack_profile:enum start_up_control:enum "
        "trust_centre_address:octet-string link_key:octet-string network_key:octet-string use_insecure_join:boolean",
    ),
    Row(
        102,
        (0,),
        "ZigBee SAS join",
        "scan_attempts:unsigned time_between_scans:long-unsigned rejoin_interval:long-unsigned "
        "rejoin_retry_interval:long-unsigned",
    ),
    Row(
        103,
        (0,),
        "ZigBee SAS APS fragmentation",
        "aps_interframe_delay:long-unsigned aps_max_window_size:long-unsigned",
    ),
    Row(
        104,
        (0,),
        "ZigBee network control",
        "enable_disable_joining:boolean join_timeout:long-unsigned active_devices:array",
        "register_device:structure unregister_device:structure unregister_all_devices:integer backup_pan:integer "
        "restore_pan:structure identify_device:structure remove_mirror:structure update_network_key:structure "
        "update_link_key:structure create_pan:integer remove_pan:integer",
    ),
    Row(
        152,
        (0,),
        "CoAP setup",
        "udp_reference:octet-string ack_timeout:long-unsigned ack_random_factor:long-unsigned "
        "max_retransmit:long-unsigned nstart:long-unsigned delay_ack_timeout:long-unsigned "
        "exponential_back_off:long-unsigned probing_rate:long-unsigned coap_uri_path:octet-string "
        "transport_mode:enum wrapper_version:choice token_length:unsigned",
    ),
    Row(
        153,
        (0,),
        "CoAP diagnostic",
        "messages_counter:structure request_response_counter:structure bt_counter:structure capture_time:structure",
        "reset:integer",
    ),
)
