"""``dlms-mqtt setup``: from nothing to a running bridge in one conversation."""
