"""The gateway: one door to a multi-tenant business suite."""
