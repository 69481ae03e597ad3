"""Marketing: campaigns, sequences, and what people do in answer."""
