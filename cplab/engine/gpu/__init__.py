"""What only an NVIDIA GPU needs: graphs of both passes, and processes that share a GPU."""
