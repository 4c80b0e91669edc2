"""From an ONNX file to a float network, or to a Program with the same codes."""
