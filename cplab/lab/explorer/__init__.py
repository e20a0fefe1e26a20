"""The explorer: a window that is dragged over results that were trained."""
