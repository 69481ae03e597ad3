"""One feature of the chain a file, named as its key in routes.yaml."""
