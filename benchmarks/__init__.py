"""How fast this machine trains, looks up and shows, as ratios; beside the package."""
