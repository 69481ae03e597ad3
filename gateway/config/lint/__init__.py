"""What a good table should not have: rules that look at the compiled table and say what to do, a file a family."""
