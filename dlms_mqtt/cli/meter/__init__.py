"""Commands that talk to a meter, one file each."""
