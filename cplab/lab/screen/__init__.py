"""What elements of a page share: their script, the line of life, words, labels and numbers."""
