"""Training: targets, loss, validation and the loop."""
