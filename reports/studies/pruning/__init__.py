"""`espalier study pruning`: error against what is gone, by granularity, selector and ratio, retrained and not."""
