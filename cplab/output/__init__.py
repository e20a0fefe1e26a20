"""What a cell puts out, without matplotlib: HTML, colours and labels, what is handed in."""
