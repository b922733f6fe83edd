"""Networks: layers, what their numbers mean, read-out and model files."""
