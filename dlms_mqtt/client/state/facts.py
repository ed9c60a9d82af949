"""Facts in the state file that more than one room knows: namespace and key of each."""

TITLE = ("client", "system_title")  # ours, under which counters are kept
LOST = ("client", "counters_lost")  # the damaged file in which they were
DOUBTFUL = ("client", "doubtful")  # may meters have seen higher counters than these? They are asked then
WRITTEN = ("bridge", "written")  # true: written to see whether it can be
UNSENT = ("bridge", "unsent in")  # the damaged file that may hold messages that were not sent
