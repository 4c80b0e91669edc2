"""Real networks in memories of several sizes: what goes to DRAM, and what that takes in energy."""
