"""The tables of this service, step by step; `python -m upstream_services.finance migration "..."` writes the next."""
