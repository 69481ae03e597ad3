"""The request path, in reading order: lane, pipeline, forward, connection, tunnel."""
