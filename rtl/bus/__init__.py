"""What puts the accelerator into a system: buses, streams, the register map and what is derived from it."""
