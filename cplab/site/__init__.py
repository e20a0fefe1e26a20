"""A static site of the labs, made from what is shipped: Python runs every widget over its states
and writes what it draws and says; the page only chooses."""
