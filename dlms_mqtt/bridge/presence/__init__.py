"""Who else is there: other bridges, claims to an id, and what an earlier run left at the broker."""
