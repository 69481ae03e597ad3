"""The jobs of CRM: whole lists in and out."""

from upstream_services.crm.resources import companies, contacts, deals
from upstream_services.kit.transfer import exporting, importing

import_contacts, contacts_import = importing(contacts)
import_companies, companies_import = importing(companies)
export_contacts, contacts_export = exporting(contacts)
export_companies, companies_export = exporting(companies)
export_deals, deals_export = exporting(deals)

JOBS = (import_contacts, import_companies, export_contacts, export_companies, export_deals)
OPERATIONS = (contacts_import, companies_import, contacts_export, companies_export, deals_export)
