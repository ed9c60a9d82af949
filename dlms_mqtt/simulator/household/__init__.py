"""A household meter: load curve, registers, tariffs, profiles, equipment."""
