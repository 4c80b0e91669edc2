"""The study of networks that are trained for it: pruned, quantised and both, with several seeds."""
