"""What everything rests on: errors in one line, files, torch loaded late, devices, seeds."""
