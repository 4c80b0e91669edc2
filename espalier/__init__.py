"""Espalier: pruned, low-precision CNNs on a MAC array, from the trained network to hardware proven bit for bit."""
