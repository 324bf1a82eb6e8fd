"""Monitor scored batches: summary metrics, plots, and drift against the training patients."""
