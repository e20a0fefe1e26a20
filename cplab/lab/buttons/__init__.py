"""Buttons that train, and figures that follow the training."""
