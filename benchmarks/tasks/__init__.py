"""Six everyday tasks, written for each library in the way its own documentation shows, as short as it gets.

Each module has ``ten_meters``, ``profile``, ``clock``, ``ciphered``, ``push`` and ``objects``; what a function imports
and the helpers of its module that it needs count as its lines. ``HOST``, keys and codes are the same for all.
"""

HOST = "127.0.0.1"
KEY, AUTHENTICATION_KEY, TITLE = bytes(range(16)), bytes(range(0xD0, 0xE0)), b"HOM\x00\x00\x00\x00\x07"
