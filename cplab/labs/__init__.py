"""Code that only one lab needs, in modules named after its notebook. The core imports none of
them."""
