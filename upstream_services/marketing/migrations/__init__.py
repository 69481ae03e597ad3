"""The tables of this service, step by step; `python -m upstream_services.marketing migration "..."` writes the next."""
