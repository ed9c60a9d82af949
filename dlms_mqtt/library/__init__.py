"""The library's own face: ``Meter`` and ``SyncMeter``, what they give back, and decode, listen and find as functions.

Its public names stand in ``dlms_mqtt`` itself and are imported when they are first used.
"""
