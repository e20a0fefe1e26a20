"""The engine: any set of runs as a tree of training that they have in common."""
