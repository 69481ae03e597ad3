"""Shared state: memory or Redis, behind the protocols of plugin_api."""
