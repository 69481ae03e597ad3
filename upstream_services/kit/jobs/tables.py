"""The tables of a service's jobs. A service has them by `Job, JobStep, JobFile = job_tables(Base)` in its models."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKeyConstraint, Index, LargeBinary, String, Uuid, text
from sqlalchemy import Text as LongText
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.kit.model import PRIVATE, Row, by, utc_now
from upstream_services.kit.tenancy import Tenanted

STATES = ("waiting", "running", "done", "dead")
# A worker looks for jobs of all tenants; what it then does for one of them, it does as that tenant.
OF_WORKERS = {"info": {"of_workers": True}}


class JobColumns:
    """A job, as its tenant sees it: what it is, how far it is, what came of it, and why not."""

    name: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(30), default="waiting")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    failures: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    run_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[str | None] = mapped_column(LongText)
    has_file: Mapped[bool] = mapped_column(default=False)
    input: Mapped[dict[str, Any]] = mapped_column(JSONB, info=PRIVATE)
    key: Mapped[str | None] = mapped_column(String(200), info=PRIVATE)
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), info=PRIVATE)
    request_id: Mapped[str | None] = mapped_column(String(200), info=PRIVATE)
    traceparent: Mapped[str | None] = mapped_column(String(200), info=PRIVATE)

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """One job for a key; and where a sweep finds what is due."""
        keyed, open_jobs = text("key is not null"), text("state in ('waiting', 'running')")
        return (
            Index("jobs_unique_key", "tenant_id", "name", "key", unique=True, postgresql_where=keyed),
            Index("jobs_due", "run_at", postgresql_where=open_jobs),
            OF_WORKERS,
        )


class StepColumns(Tenanted):
    """A step that a job has taken and does not take again."""

    job_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    step: Mapped[str] = mapped_column(String(200), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)
    told: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))


class FileColumns(Tenanted):
    """A file that a job was given, or that came of it."""

    job_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)  # "given" or "made"
    name: Mapped[str] = mapped_column(String(200))
    media_type: Mapped[str] = mapped_column(String(200))
    content: Mapped[bytes] = mapped_column(LargeBinary)


def job_tables(base: Any) -> tuple[Any, Any, Any]:
    """The mapped classes of a service's jobs, their steps and their files."""

    class Job(JobColumns, Row, base):
        """Something that the service does in its own time."""

        __tablename__ = "jobs"
        __feed__ = "job"
        __indexes__ = (by("run_at"),)

    of_job = lambda: ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], ondelete="cascade")  # noqa: E731

    class JobStep(StepColumns, base):
        """A step of a job that was taken."""

        __tablename__ = "job_steps"
        __table_args__ = (of_job(),)

    class JobFile(FileColumns, base):
        """A file of a job."""

        __tablename__ = "job_files"
        __table_args__ = (of_job(),)

    return Job, JobStep, JobFile
