"""A search of `espalier optimize`, beside the same network with the same bits in every layer."""
