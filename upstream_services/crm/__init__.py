"""CRM: contacts and deals, the change feed, and the conversion of a deal into an invoice."""
