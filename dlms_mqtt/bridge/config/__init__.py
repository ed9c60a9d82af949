"""What the user wrote: the configuration file, its sections, meters added from outside, and its sealed secrets."""
