"""What only an NVIDIA GPU needs: graphs of both passes, joined batches, and sharing among processes.

Training calls all of it by `epoch.train_epoch`.
"""
