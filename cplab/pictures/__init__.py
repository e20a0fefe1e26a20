"""The images that networks learn from, by name; and small pictures of them."""
