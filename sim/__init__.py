"""Running a Program, bit for bit."""
