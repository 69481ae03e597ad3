"""Live state of the upstreams, which outlives a snapshot."""
