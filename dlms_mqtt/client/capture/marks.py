"""What a capture file is known by, and how it writes the two directions: apart, so that reading one imports little."""

FORMAT = "dlms-mqtt-capture-1"
SENT, RECEIVED = ">", "<"
