"""`espalier study bitwidth`: error against word length, by every method, group by group, allocated, retrained."""
