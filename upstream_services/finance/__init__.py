"""Finance: invoices with GST."""
