"""Interface classes that are known by name only: their values are read by number.

Source: Blue Book, newer editions; IEC 62056-6-2.
"""

from __future__ import annotations

NAMED = {
    66: "Measurement data monitoring",
    95: "Wi-SUN setup",
    96: "Wi-SUN diagnostic",
    97: "RPL diagnostic",
    98: "MPL diagnostic",
    105: "ZigBee tunnel setup",
    126: "SCHC-LPWAN setup",
    127: "SCHC-LPWAN diagnostic",
    128: "LoRaWAN setup",
    129: "LoRaWAN diagnostic",
    130: "ISO/IEC 14908 identification",
    131: "ISO/IEC 14908 protocol setup",
    132: "ISO/IEC 14908 protocol status",
    133: "ISO/IEC 14908 diagnostic",
    140: "HS-PLC ISO/IEC 12139-1 MAC setup",
    141: "HS-PLC ISO/IEC 12139-1 CPAS setup",
    142: "HS-PLC ISO/IEC 12139-1 IP SSAS setup",
    143: "HS-PLC ISO/IEC 12139-1 HDLC SSAS setup",
    160: "G3-PLC hybrid RF MAC layer counters",
    161: "G3-PLC hybrid RF MAC setup",
    162: "G3-PLC hybrid 6LoWPAN adaptation layer setup",
}
