"""The line to the broker: what waits for it is kept, what comes from it is handed on."""
