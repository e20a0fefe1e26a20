"""What all elements of a page share: their script, and their connection to Python."""
