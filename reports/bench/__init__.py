"""`espalier bench`: the engine's speed, side by side with other people's runtimes."""
