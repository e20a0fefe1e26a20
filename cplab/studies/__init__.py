"""What single labs still need from here, until it stands in cplab.labs."""
