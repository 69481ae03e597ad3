"""routes.yaml: loaded, checked, compiled into a frozen snapshot."""
