"""The hardware that runs a Program."""
