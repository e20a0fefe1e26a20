"""What makes a student's own functions possible: their meaning as text, and their trial."""
