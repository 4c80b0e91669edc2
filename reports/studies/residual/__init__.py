"""The study of residual networks: pruned, quantised and both, trained with several seeds."""
