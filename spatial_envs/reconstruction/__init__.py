"""Point clouds and how near they come to the true surface."""
