"""Framing: how APDUs travel as bytes. A link takes bytes in, gives events out and bytes out; nothing here does I/O."""
