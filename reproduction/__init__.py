"""What the sources claim, what our records say to it, and the campaign; beside the package."""
