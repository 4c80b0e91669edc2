"""What arrays take on an FPGA and in standard cells, and how well that is predicted without building them."""
