"""What becomes gates: the accelerator and its parts."""
