"""What only an NVIDIA GPU needs: graphs of both passes, kernels, batches that are joined, and its
sharing among processes. Training reaches all of it by one call, `epoch.train_epoch`."""
