"""What pushed values mean: layouts, lists of vendors, P1 telegrams."""
