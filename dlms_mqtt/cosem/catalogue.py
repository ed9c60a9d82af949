"""Which class an object most likely has, by its OBIS: for addresses without a class while no object list is at hand."""

from __future__ import annotations

from dlms_mqtt.cosem.pattern import PatternTable

# The first row that matches. Group B is a channel, F a billing period (255: current).
_ROWS: tuple[tuple[str, int], ...] = (
    # abstract objects (A = 0)
    ("0.*.0.1.*.*", 1),  # billing period counters and time stamps
    ("0.*.0.2.*.*", 1),  # programs, firmware
    ("0.*.1.0.*.255", 8),  # clock
    ("0.*.1.1-6.*.255", 1),  # UNIX clock, local time and date
    ("0.*.2.0.0.255", 27),  # modem configuration
    ("0.*.2.1.0.255", 29),  # auto connect
    ("0.*.2.2.0.255", 28),  # auto answer
    ("0.*.10.0-1.*.255", 9),  # script tables
    ("0.*.11.0.*.255", 11),  # special days
    ("0.*.12.0.*.255", 10),  # schedule
    ("0.*.13.0.*.255", 20),  # activity calendar
    ("0.*.14.0.*.255", 6),  # register activation
    ("0.*.15.*.*.255", 22),  # single action schedules
    ("0.*.16.0-1.*.255", 21),  # register monitor; also of alarms
    ("0.*.16.2.*.255", 65),  # parameter monitor
    ("0.*.17.0.*.255", 71),  # limiter
    ("0.*.18.0.*.255", 123),  # array manager
    ("0.*.19.0-9.*.255", 111),  # account
    ("0.*.19.10-19.*.255", 112),  # credit
    ("0.*.19.20-29.*.255", 113),  # charge
    ("0.*.19.40-49.*.255", 115),  # token gateway
    ("0.*.19.50-59.*.255", 1),  # credit limits
    ("0.*.20.0.*.255", 19),  # optical or electrical local port
    ("0.*.21.0.*.255", 7),  # standard readout lists
    ("0.*.22.0.*.255", 23),  # HDLC
    ("0.*.23.0.*.255", 24),  # twisted pair
    ("0.*.24.0.*.255", 25),  # M-Bus slave port
    ("0.*.24.1.*.255", 72),  # M-Bus client
    ("0.*.24.2.*.*", 4),  # M-Bus value
    ("0.*.24.3.*.*", 7),  # M-Bus profile
    ("0.*.24.4.*.255", 70),  # M-Bus valve
    ("0.*.24.5.*.255", 7),  # M-Bus control log
    ("0.*.24.6.*.255", 74),  # M-Bus master port
    ("0.*.24.8.*.255", 76),  # DLMS server M-Bus port
    ("0.*.24.9.*.255", 77),  # M-Bus diagnostic
    ("0.*.25.0.0.255", 41),  # TCP-UDP
    ("0.*.25.1.0.255", 42),  # IPv4
    ("0.*.25.2.0.255", 43),  # MAC address
    ("0.*.25.3.0.255", 44),  # PPP
    ("0.*.25.4.0.255", 45),  # GPRS modem
    ("0.*.25.5.0.255", 46),  # SMTP
    ("0.*.25.6.0.255", 47),  # GSM diagnostic
    ("0.*.25.7.0.255", 48),  # IPv6
    ("0.*.25.9.128-254.255", 1),
    ("0.*.25.9.*.255", 40),  # push setup
    ("0.*.25.10.*.255", 100),  # NTP
    ("0.*.25.11.*.255", 151),  # LTE monitoring
    ("0.*.26.0.0.255", 50),  # S-FSK
    ("0.*.26.1.0.255", 51),
    ("0.*.26.2.0.255", 52),
    ("0.*.26.3.0.255", 53),
    ("0.*.26.5.0.255", 55),
    ("0.*.26.6.0.255", 56),
    ("0.*.27.0.0.255", 57),  # IEC 8802-2
    ("0.*.27.1.0.255", 58),
    ("0.*.27.2.0.255", 59),
    ("0.*.28.0.0.255", 80),  # PRIME
    ("0.*.28.1.0.255", 81),
    ("0.*.28.2.0.255", 82),
    ("0.*.28.3.0.255", 83),
    ("0.*.28.4.0.255", 84),
    ("0.*.28.5.0.255", 85),
    ("0.*.28.6.0.255", 43),
    ("0.*.28.7.0.255", 86),
    ("0.*.29.0.0.255", 90),  # G3
    ("0.*.29.1.0.255", 91),
    ("0.*.29.2.0.255", 92),
    ("0.*.30.0.*.255", 101),  # ZigBee
    ("0.*.30.1.*.255", 102),
    ("0.*.30.2.*.255", 103),
    ("0.*.30.3.*.255", 104),
    ("0.*.30.4.*.255", 105),
    ("0.*.31.0.*.255", 73),  # wireless mode Q
    ("0.*.40.0.*.255", 15),  # association LN
    ("0.*.41.0.0.255", 17),  # SAP assignment
    ("0.*.42.0.0.255", 1),  # logical device name
    ("0.*.43.0.*.255", 64),  # security setup
    ("0.*.43.1.*.255", 1),  # invocation counters
    ("0.*.43.2.*.255", 30),  # data protection
    ("0.*.44.0.*.255", 18),  # image transfer
    ("0.*.44.1.*.255", 122),  # function control
    ("0.*.44.2.*.255", 124),  # communication port protection
    ("0.*.65.*.*.255", 26),  # utility tables
    ("0.*.66.0.*.255", 62),  # compact data
    ("0.*.67.0.*.255", 67),  # sensor manager
    ("0.*.94.31.0,5,6.255", 1),
    ("0.*.94.49.*.255", 7),
    ("0.*.94.91.8.255", 3),  # India: cumulated power failures
    ("0.*.94.91.10.255", 7),  # India: name plate
    ("0.*.94.39,91,96,98.*.*", 1),  # country specific
    ("0.*.96.3.10.255", 70),  # disconnect control
    ("0.*.96.3.20-29.255", 68),  # arbitrator
    ("0.*.96.2.*.*", 3),  # changes of the configuration
    ("0.*.96.5.*.*", 1),
    ("0.*.96.6.*.*", 3),  # battery
    ("0.*.96.7.0-9.*", 1),  # power failures, counted
    ("0.*.96.7.10-20.*", 3),  # times and durations
    ("0.*.96.8-9.*.*", 3),  # operating time, environment
    ("0.*.96.12.1,5.*", 3),  # connections, field strength
    ("0.*.96.240.*.*", 3),  # the manufacturer's own
    ("0.*.96.*.*.*", 1),
    ("0.*.97.98.10-19.255", 1),
    ("0.*.97.*.*.*", 1),  # errors and alarms
    ("0.*.98.*.*.*", 7),  # lists
    ("0.*.99.*.*.*", 7),  # profiles and event logs
    ("0.*.127.*.*.*", 4),
    ("0.*.128-254.*.*.*", 1),  # the manufacturer's own
    # electricity (A = 1)
    ("1.*.0.0-2.*.*", 1),  # identification, billing counters, programs
    ("1.*.0.3-5.*.*", 3),  # pulse constants, ratios, demand limits
    ("1.*.0.6.*.*", 3),  # nominal values
    ("1.*.0.8.*.*", 3),  # periods
    ("1.*.0.9.1-2.*", 1),  # time and date
    ("1.*.0.9.*.*", 3),  # since the last reset, and others
    ("1.*.0.*.*.*", 1),
    ("1.*.94.48.*.*", 3),  # country specific
    ("1.*.94.91.*.255", 7),  # India: captured for instantaneous values, and scalers of profiles
    ("1.*.94.*.*.*", 1),
    ("1.*.96.50-51.*.*", 3),
    ("1.*.96.*.*.*", 1),
    ("1.*.97.*.*.*", 1),
    ("1.*.98.*.*.*", 7),
    ("1.*.99.*.*.*", 7),
    ("1.*.*.32,36,40.*.*", 1),  # sags, swells and interruptions, counted
    ("1.*.128-254.7-9.*.*", 3),
    ("1.*.128-254.*.*.*", 1),  # the manufacturer's own
    ("1.*.11-14.31,35,39.*.*", 3),  # thresholds of sags, swells and interruptions
    ("1.*.*.31,35,39.*.*", 21),  # what is watched by a threshold
    ("1.*.1-16.24.*.*", 5),
    ("1.*.*.4,14,27,28.*.*", 5),  # current averages
    ("1.*.*.3,6,13,16,54.*.*", 4),  # maxima and minima, with their times
    ("1.*.1-127.*.*.*", 3),  # last averages and cumulated maxima too
    # other media: heat cost, cooling, heat, gas, water
    ("4-9.*.0.*.*.*", 1),
    ("4-9.*.96-97.*.*.*", 1),
    ("4-9.*.98-99.*.*.*", 7),
    ("4-9.*.*.*.*.*", 3),
)
_TABLE = PatternTable(_ROWS)

# Where makers differ: counters and constants that are Data in one meter and Register in another.
_VARYING = PatternTable([(pattern, True) for pattern in ("1.*.0.3-5.*.*", "1.*.0.8-9.*.*", "0.*.96.2,6,8,240.*.*")])

DEFAULT_ATTRIBUTE = 2


def varies(obis: bytes) -> bool:
    """Does the class differ from maker to maker, so that the meter's own list should be asked?"""
    return _VARYING.find(obis) is not None


def default_class(obis: bytes) -> int | None:
    """The class id that an object with this OBIS nearly always has, or None."""
    return _TABLE.find(obis)
