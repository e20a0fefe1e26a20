"""Questions, their answers, and the checks of exercises."""
