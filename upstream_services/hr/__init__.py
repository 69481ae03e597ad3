"""HR: departments and employees."""
