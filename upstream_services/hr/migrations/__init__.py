"""The tables of this service, step by step; `python -m upstream_services.hr migration "..."` writes the next."""
