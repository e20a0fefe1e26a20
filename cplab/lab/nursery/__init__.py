"""The first screen: small networks that grow up in the page."""
