"""The jobs of Finance that take whole lists in and out."""

from upstream_services.finance.banking import bank_transactions
from upstream_services.finance.ledger import journal_entries
from upstream_services.finance.sales import customers, invoices, items, vendors
from upstream_services.kit.transfer import exporting, importing

import_customers, customers_import = importing(customers)
import_vendors, vendors_import = importing(vendors)
import_items, items_import = importing(items)
import_transactions, transactions_import = importing(bank_transactions)
export_invoices, invoices_export = exporting(invoices)
export_entries, entries_export = exporting(journal_entries)

JOBS = (import_customers, import_vendors, import_items, import_transactions, export_invoices, export_entries)
OPERATIONS = (
    *(customers_import, vendors_import, items_import, transactions_import),
    *(invoices_export, entries_export),
)
