"""Layers on packed bytes: how tensors lie, what each layer reads, and the recipes that kernels follow."""
