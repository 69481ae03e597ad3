"""The columns that every resource has, and the column types they share."""

import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import DateTime, Index, Numeric, Uuid, desc
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from upstream_services.kit.tenancy import Tenanted

MONEY = Numeric(22, 2)
PRIVATE = {"private": True}  # `mapped_column(info=PRIVATE)`: kept, but in no reply


def utc_now() -> datetime:
    """The time of a write, in UTC with microseconds, which is also what PostgreSQL keeps."""
    return datetime.now(UTC)


class Row(Tenanted):
    """A resource's row: `tenant_id, id, created_at, updated_at, version`, and the index that its list is read from.

    A mixin for the mapped classes of a service. `version` counts writes: it is the ETag, and an UPDATE that finds
    another version than it read fails.
    """

    __tablename__: Any
    __feed__: ClassVar[str | None] = None  # the noun of the change feed, such as "contact"; None: changes are not told

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4, sort_order=-9)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now, sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now, sort_order=91)
    version: Mapped[int] = mapped_column(sort_order=92)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 - SQLAlchemy calls it with the class
        return {"version_id_col": cls.version}

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        return (*cls.constraints(), Index(f"{cls.__tablename__}_list", "tenant_id", desc("created_at"), "id"))

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """Further constraints and indexes of a table; a unique one is named `<table>_unique_<field>`."""
        return ()
