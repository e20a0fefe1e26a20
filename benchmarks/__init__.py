"""How fast the machine trains and looks up, as ratios; beside the package."""
