"""What one lab alone needs, a module each, named as its notebook. Nothing in core knows of them."""
