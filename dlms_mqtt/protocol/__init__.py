"""DLMS/COSEM without I/O: bytes in, events out, bytes out. No asyncio, no clock, no randomness of its own."""
