"""A Program as an ONNX file whose runtime gives the same codes."""
