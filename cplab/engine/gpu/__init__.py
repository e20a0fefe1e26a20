"""What only an NVIDIA GPU needs: graphs of both passes, and one optimiser for all seeds."""
