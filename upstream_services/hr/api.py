"""What HR answers under /hr."""

from upstream_services.hr.models import Base, Department, Employee
from upstream_services.kit.app import Service
from upstream_services.kit.resource import Resource

departments = Resource(name="departments", table=Department, filters=("code",))

employees = Resource(
    name="employees",
    table=Employee,
    filters=("status", "department_id", "email"),
    nested_in=("department_id",),
)

SERVICE = Service(name="hr", port=8103, metadata=Base.metadata, resources=(departments, employees))
