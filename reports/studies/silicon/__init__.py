"""What Programs take in silicon, SkyWater's cells of 130 nm: area, clock and energy out of gates, and the estimate."""
