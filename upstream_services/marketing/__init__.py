"""Marketing: campaigns."""
