"""The accelerator in standard cells: mapping, memories as macros, timing."""
