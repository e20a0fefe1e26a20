"""What only an NVIDIA GPU needs: graphs of both passes, joined batches, shared processes.

Training calls all of it by `epoch.train_epoch`.
"""
