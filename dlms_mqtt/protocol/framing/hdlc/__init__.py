"""HDLC: frames, addresses, parameters, windows and the link of both sides."""
