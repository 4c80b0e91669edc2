"""The accelerator on an FPGA: synthesis, placement, clock."""
