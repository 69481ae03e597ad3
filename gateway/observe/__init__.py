"""Metrics, access log and tracing."""
