"""The engine: trains any set of runs, and the beginnings that they have in common only once."""
