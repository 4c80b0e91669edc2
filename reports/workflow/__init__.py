"""The stages that commands share: loading, pruning, quantising, retraining, error rates."""
