"""What HR answers under /hr."""

from upstream_services.hr import jobs, pay_reports, payroll, payslips, reports
from upstream_services.hr.attendance import attendance, check_in, check_out, holidays
from upstream_services.hr.growth import assets, goals, reviews
from upstream_services.hr.hiring import candidates, interviews, job_openings
from upstream_services.hr.leave import leave_balances, leave_requests, leave_types
from upstream_services.hr.models import Base
from upstream_services.hr.resources import departments, designations, employees, locations, shifts
from upstream_services.kit.app import Service

SERVICE = Service(
    name="hr",
    port=8103,
    metadata=Base.metadata,
    resources=(
        *(departments, designations, locations, shifts, employees),
        *(attendance, holidays, leave_types, leave_balances, leave_requests),
        *(payroll.salary_structures, payroll.pay_profiles, payroll.payroll_runs, payroll.payslips),
        *(job_openings, candidates, interviews, reviews, goals, assets),
    ),
    operations=(
        *(check_in, check_out, payroll.compute_run, payslips.send_run, payslips.run_register, payslips.payslip_pdf),
        *(reports.headcount, reports.attrition, reports.attendance_report, reports.dashboard_stats),
        *(pay_reports.payroll_register, pay_reports.statutory_tables),
        *jobs.OPERATIONS,
    ),
    jobs=jobs.JOBS,
)
