"""Lines to meters: bytes in and out over TCP, UDP, serial ports and memory, without any meaning."""
