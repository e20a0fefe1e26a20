"""The engine: any set of lives as a tree of trajectories."""
