"""ONNX files, read and written, and the sidecar that holds what they cannot."""
