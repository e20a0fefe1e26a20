"""Code for one lab alone, in modules named as its notebook. The core imports none of them."""
