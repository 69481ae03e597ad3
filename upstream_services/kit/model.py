"""The columns that every resource has, and the pieces that its table is declared from.

class Deal(Row, Base):
    '''A sale in the making.'''
    __tablename__ = "deals"
    __search__ = ("title", "description")                 # what `q=` looks in
    __indexes__ = (by("stage", "value desc"),)            # further orders that lists are read in

    contact_id: Mapped[uuid.UUID] = reference("contacts")
    title: Mapped[Name]                                   # types that are column and input rule in one: fields.py
    stage: Mapped[Literal["new", "won"]] = choice("new")
    value: Mapped[Money] = mapped_column(default=Decimal("0.00"))
    invoice_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
"""

import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from sqlalchemy import Column, Computed, DateTime, ForeignKeyConstraint, Index, String, Uuid, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, MappedColumn, declared_attr, mapped_column

from upstream_services.kit.search import search_expression
from upstream_services.kit.tenancy import USER_MAX, Kept

PRIVATE = {"private": True}  # `mapped_column(info=PRIVATE)`: kept, but in no reply and no input
READ_ONLY = {"read_only": True}  # in replies, but not for clients to write

LIVE = text("deleted_at is null")


def utc_now() -> datetime:
    """The time of a write, in UTC with microseconds, which is also what PostgreSQL keeps."""
    return datetime.now(UTC)


def reference(
    table: str, *, nullable: bool = False, on_delete: Literal["restrict", "keep"] = "restrict", **info: Any
) -> Any:
    """A column that refers to the id of a row of another resource of the service, of the same tenant.

    It gives the table its foreign key and the index of "the deals of a contact"; the kit checks that the row exists. A
    row that others refer to is not deleted (409) unless they say `keep`: they then go on naming it.
    """
    return mapped_column(Uuid, nullable=nullable, info={"references": table, "on_delete": on_delete, **info})


def choice(default: str | None = None, **column: Any) -> Any:
    """The column of a `Mapped[Literal[...]]`. Its type is text, so that a further value needs no migration."""
    if default is not None:
        column["default"] = default
    return mapped_column(String(30), **column)


def by(*order: str, include: tuple[str, ...] = (), name: str | None = None) -> dict[str, Any]:
    """An index of `__indexes__`: columns such as "status" or "value desc", after the tenant and before the id."""
    return {"order": order, "include": include, "name": name, "unique": False}


def unique(*columns: str) -> dict[str, Any]:
    """An entry of `__indexes__`: no two rows of a tenant that are not deleted have the same values there."""
    return {"order": columns, "include": (), "name": None, "unique": True}


def _index(table: str, wish: dict[str, Any]) -> Index:
    names = [part.split()[0] for part in wish["order"]]
    if wish["unique"]:
        title, columns = f"{table}_unique_{'_'.join(names)}", ["tenant_id", *names]
    else:
        title, columns = (
            f"{table}_by_{'_'.join(names)}",
            ["tenant_id", *(text(part) if " " in part else part for part in wish["order"]), "id"],
        )
    options = {"postgresql_include": list(wish["include"])} if wish["include"] else {}
    return Index(wish["name"] or title, *columns, unique=wish["unique"], postgresql_where=LIVE, **options)


class Row(Kept):
    """A resource's row: tenant, id, version, who made and last changed it and when, and the index of its list.

    A mixin for the mapped classes of a service. `version` counts writes: it is the ETag, and an UPDATE that finds
    another version than it read fails.
    """

    __tablename__: Any
    __feed__: ClassVar[str | None] = None  # the noun of the change feed, such as "contact"; None: changes are not told
    __search__: ClassVar[tuple[str, ...]] = ()
    __indexes__: ClassVar[tuple[dict[str, Any], ...]] = ()
    __scheduled__: ClassVar[bool] = False  # jobs are started by the clock for each tenant that has rows here
    __public__: ClassVar[str | None] = None  # a column, unique for all tenants, that opens its row without a token
    __covering__: ClassVar[tuple[str, ...]] = ()  # columns that a list can show from its index alone

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4, sort_order=-9)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now, sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now, sort_order=91)
    created_by: Mapped[str | None] = mapped_column(String(USER_MAX), sort_order=92)
    updated_by: Mapped[str | None] = mapped_column(String(USER_MAX), sort_order=93)
    version: Mapped[int] = mapped_column(sort_order=94)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 - SQLAlchemy calls it with the class
        # What the database computes is for its indexes; nothing is to be read back after a write.
        return {"version_id_col": cls.version, "eager_defaults": False, "exclude_properties": ["search_lexemes"]}

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        table = cls.__tablename__
        order = ("tenant_id", text("created_at desc"), "id")
        covering = {"postgresql_include": list(cls.__covering__)} if cls.__covering__ else {}
        parts: list[Any] = [Index(f"{table}_list", *order, postgresql_where=LIVE, **covering)]
        parts.append(_index(table, by("updated_at desc")))
        parts += [_index(table, wish) for wish in cls.__indexes__]
        for name, target in references_in(vars(cls)).items():
            parts.append(ForeignKeyConstraint(["tenant_id", name], [f"{target}.tenant_id", f"{target}.id"]))
            parts.append(_index(table, by(name, "created_at desc", name=f"{table}_of_{name.removesuffix('_id')}")))
        if cls.__search__:
            stored = Computed(search_expression(cls.__search__), persisted=True)
            parts.append(Column("search_lexemes", TSVECTOR, stored, info=PRIVATE))
            parts.append(Index(f"{table}_search", "search_lexemes", postgresql_using="gin"))
        parts += cls.constraints()
        info = {name: value for name, value in (("scheduled", cls.__scheduled__), ("public", cls.__public__)) if value}
        if cls.__public__:
            parts.append(Index(f"{table}_unique_{cls.__public__}", cls.__public__, unique=True))
        if info:
            parts.append({"info": info})
        return tuple(parts)

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """Further constraints of a table; a unique one is named `<table>_unique_<field>`."""
        return ()


def references_in(attributes: Any) -> dict[str, str]:
    """Column name -> table it refers to, of a class's own attributes."""
    return {
        name: column.column.info["references"]
        for name, column in dict(attributes).items()
        if isinstance(column, MappedColumn) and "references" in column.column.info
    }
