"""The jobs of HR. None of them leaves a file about pay."""

from upstream_services.hr.attendance import attendance
from upstream_services.hr.payroll_job import compute_payroll
from upstream_services.hr.payslips import send_payslips
from upstream_services.hr.resources import employees
from upstream_services.kit.transfer import exporting, importing

import_employees, employees_import = importing(employees)
export_employees, employees_export = exporting(employees)
import_attendance, attendance_import = importing(attendance)
export_attendance, attendance_export = exporting(attendance)

JOBS = (
    *(compute_payroll, send_payslips),
    *(import_employees, export_employees, import_attendance, export_attendance),
)
OPERATIONS = (employees_import, employees_export, attendance_import, attendance_export)
