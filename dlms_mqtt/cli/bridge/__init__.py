"""Commands of the bridge, one file each."""
