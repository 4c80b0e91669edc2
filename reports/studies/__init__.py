"""`espalier study`: sweeps whose results lie beside the code that made them."""
