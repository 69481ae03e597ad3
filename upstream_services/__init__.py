"""The module services behind the gateway: CRM, Finance, HR and Marketing, each a process with a database of its own."""
