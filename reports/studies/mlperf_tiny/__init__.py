"""MLPerf Tiny's four networks, pruned and in 3 to 8 bits, on one array."""
