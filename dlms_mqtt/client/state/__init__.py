"""What must survive: invocation counters, remembered facts, object lists; one SQLite file."""
