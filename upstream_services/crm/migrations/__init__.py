"""The tables of this service, step by step; `python -m upstream_services.crm migration "..."` writes the next."""
