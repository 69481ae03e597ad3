"""What dashboard users do, and what each of them must see after it: the traffic of `dashboard.py` without its sockets.

A tenant's users read statistics, configuration, lists, records and searches, and change things; which tenant and which
record is drawn by Zipf's law. Of every confirmed write the model remembers who made it, when, and what of it a read
shows: the version of a record, the time of the last change in the statistics, the id of what is new in a list, and
whether a changed record is in the list of its status. `Expectation` is taken before a read is sent.
"""

import random
from bisect import bisect
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple

PAGE = 50
"""Records in a page of a list."""
FILTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "contacts": ("status", ("lead", "active", "inactive")),
    "deals": ("stage", ("new", "qualified", "proposal", "won")),
    "invoices": ("status", ("draft", "sent", "paid")),
    "employees": ("status", ("active", "on_leave")),
    "campaigns": ("channel", ("email", "sms")),
}
SERVICE_OF = {"contacts": "crm", "deals": "crm", "invoices": "finance", "employees": "hr", "campaigns": "marketing"}

# Weights. Of reads: an open dashboard asks for its statistics and configuration again and again.
READS = {"statistics": 46, "configuration": 17, "list": 16, "record": 18, "search": 3}
READ_OF = {"contacts": 35, "deals": 30, "invoices": 20, "employees": 10, "campaigns": 5}
WRITTEN_OF = {"deals": 40, "contacts": 25, "invoices": 25, "employees": 5, "campaigns": 5}
CREATE_SHARE = 0.25
CONVERT_SHARE = 0.1
UNFILTERED_SHARE = 0.75
# Recent creates that a first page shows in any case: fewer than its records by more than can be under way.
_NEWEST_MAX = 20


class Zipf:
    """Draws 0..count-1, the k-th with a weight of 1/k^exponent (Zipf's law)."""

    def __init__(self, count: int, exponent: float) -> None:
        self._sums = list(accumulate(1 / rank**exponent for rank in range(1, count + 1)))

    def draw(self, rng: random.Random) -> int:
        return min(bisect(self._sums, rng.random() * self._sums[-1]), len(self._sums) - 1)


class Seen(NamedTuple):
    """What a write left to be seen. value: grows with each write. state: of the field that lists are filtered by."""

    value: Any
    at_s: float
    user: str
    state: str = ""


class Mark:
    """The writes on one thing. own: the last one of each user; under_way, begun: of those not confirmed, and of all."""

    __slots__ = ("begun", "last", "own", "under_way")

    def __init__(self, value: Any, state: str = "") -> None:
        self.last = Seen(value, 0.0, "", state)
        self.own: dict[str, Seen] = {}
        self.under_way = self.begun = 0

    def begin(self) -> None:
        self.begun += 1
        self.under_way += 1

    def end(self, seen: Seen | None) -> None:
        """seen: None where the write was refused."""
        self.under_way -= 1
        if seen is not None:
            self.confirm(seen)

    def confirm(self, seen: Seen) -> None:
        if seen.value > self.last.value:
            self.last = seen
        if seen.user not in self.own or seen.value > self.own[seen.user].value:
            self.own[seen.user] = seen


@dataclass
class Tenant:
    """One tenant. ids: of each collection, the most popular first."""

    name: str
    ids: dict[str, list[str]] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    newest: dict[str, deque[Seen]] = field(default_factory=dict)
    statistics: Mark = field(default_factory=lambda: Mark(datetime.min))

    def add(self, collection: str, record: Mapping[str, Any]) -> None:
        """A record that is there from the start."""
        self.ids.setdefault(collection, []).append(record["id"])
        self.marks[record["id"]] = Mark(record["version"], record[FILTERS[collection][0]])

    def created(self, collection: str, record_id: str, user: str, now_s: float) -> None:
        self.newest.setdefault(collection, deque(maxlen=_NEWEST_MAX)).append(Seen(record_id, now_s, user))


class Violation(NamedTuple):
    """A reply that does not show a confirmed write. is_own: of the reader. age_s: of the write, when the read began."""

    what: str
    is_own: bool
    age_s: float


class Expectation:
    """What a read that begins now has to show. collection: "" for statistics. record: where one is read. state: where
    the list is filtered by it.
    """

    def __init__(
        self, tenant: Tenant, user: str, now_s: float, collection: str = "", record: str = "", state: str = ""
    ) -> None:
        self._tenant, self._user, self._now_s = tenant, user, now_s
        self._collection, self._record, self._state = collection, record, state
        ids = [record] if record else tenant.ids.get(collection, ())
        marks = {"": tenant.statistics} if not collection else {each: tenant.marks[each] for each in ids}
        self._marks = {
            key: (mark, mark.last, mark.own.get(user), mark.begun, mark.under_way) for key, mark in marks.items()
        }
        self._newest = list(tenant.newest.get(collection, ())) if not record and not state else []

    def judge(self, reply: Mapping[str, Any]) -> list[Violation]:
        """What the reply's body does not show."""
        if not self._collection:
            changed_at = reply["changed_at"]
            return self._shown("", datetime.min if changed_at is None else moment(changed_at))
        if self._record:
            return self._shown(self._record, reply["version"])
        found: list[Violation] = []
        items = {item["id"]: item for item in reply["items"]}
        for record_id, item in items.items():
            if record_id in self._marks:
                found += self._shown(record_id, item["version"])
        found += [
            self._violation("a new record is missing", seen, seen) for seen in self._newest if seen.value not in items
        ]
        if self._state and len(items) < PAGE:
            found += self._missing(items)
        return found

    def _missing(self, items: Mapping[str, Any]) -> list[Violation]:
        """Records that belong into this filtered list, which is whole."""
        found = []
        for record_id, (mark, last, own, begun, under_way) in self._marks.items():
            is_certain = not under_way and mark.begun == begun
            if is_certain and last.state == self._state and record_id not in items:
                found.append(self._violation("a changed record is missing in its list", last, own))
        return found

    def _shown(self, key: str, value: Any) -> list[Violation]:
        _, last, own, _, _ = self._marks[key]
        if value >= last.value:
            return []
        return [
            self._violation("an older state is shown", last, own if own is not None and value < own.value else None)
        ]

    def _violation(self, what: str, last: Seen, own: Seen | None) -> Violation:
        is_own = own is not None and own.user == self._user
        return Violation(what, is_own, self._now_s - (own if is_own and own is not None else last).at_s)


def moment(text: str) -> datetime:
    """A time of a service's reply, comparable with `datetime.min`."""
    return datetime.fromisoformat(text).replace(tzinfo=None)


class Read(NamedTuple):
    """kind: of `READS`. path: below /api/v1."""

    kind: str
    path: str
    collection: str = ""
    record: str = ""
    state: str = ""


class Write(NamedTuple):
    """body: None for an action."""

    kind: str
    method: str
    path: str
    collection: str
    body: dict[str, Any] | None
    record: str = ""


class Draws:
    """What comes next. burst: changes that a user makes in a row when there is something to change."""

    def __init__(self, rng: random.Random, *, records: int, exponent: float, write_share: float, burst: int) -> None:
        self._rng = rng
        self._zipf = Zipf(records, exponent)
        self._write_share = write_share
        self._burst = burst

    def steps(self, tenant: Tenant) -> Sequence[Read | Write]:
        """Of one user, one after the other: a read, or a burst of changes."""
        # A burst counts as so many, so it begins so much less often.
        begins = self._write_share / (self._burst - self._write_share * (self._burst - 1))
        if self._rng.random() < begins:
            collection = self._pick(WRITTEN_OF)
            return [self._write(tenant, collection) for _ in range(self._burst)]
        return [self._read(tenant)]

    def _pick(self, weights: Mapping[str, int]) -> str:
        return self._rng.choices(list(weights), list(weights.values()))[0]

    def _read(self, tenant: Tenant) -> Read:
        kind = self._pick(READS)
        if kind == "statistics":
            return Read(kind, "/crm/dashboard/stats")
        if kind == "configuration":
            return Read(kind, self._rng.choice(("/finance/profile", "/hr/departments")))
        collection = self._pick(READ_OF)
        path = f"/{SERVICE_OF[collection]}/{collection}"
        if kind == "record":
            record = tenant.ids[collection][self._zipf.draw(self._rng)]
            return Read(kind, f"{path}/{record}", collection, record)
        if kind == "search":
            number = self._zipf.draw(self._rng)
            return Read(kind, f"/crm/contacts?email=person-{number}@{tenant.name}.example")
        if self._rng.random() < UNFILTERED_SHARE:
            return Read(kind, path, collection)
        name, states = FILTERS[collection]
        state = self._rng.choice(states)
        return Read(kind, f"{path}?{name}={state}", collection, state=state)

    def _write(self, tenant: Tenant, collection: str) -> Write:
        rng = self._rng
        path = f"/{SERVICE_OF[collection]}/{collection}"
        if collection == "invoices" or rng.random() < CREATE_SHARE:
            return Write("create", "POST", path, collection, new_record(tenant, collection, rng.randrange(10**9)))
        record = tenant.ids[collection][self._zipf.draw(rng)]
        if collection == "deals" and rng.random() < CONVERT_SHARE:
            return Write("convert", "POST", f"{path}/{record}/convert", collection, None, record)
        if collection in ("contacts", "deals"):
            name, states = FILTERS[collection]
            body: dict[str, Any] = {name: rng.choice(states)}
        elif collection == "employees":
            body = {"designation": f"Lead {rng.randrange(100)}"}
        else:
            body = {"budget": f"{rng.randrange(10**6)}.00"}
        return Write("change", "PATCH", f"{path}/{record}", collection, body, record)


def new_record(tenant: Tenant, collection: str, number: int) -> dict[str, Any]:
    """The body of a create."""
    email = f"person-{number}@{tenant.name}.example"
    amount = f"{number % 10**6}.00"
    line = {"description": "Training", "quantity": "1", "unit_price": amount, "gst_rate": 18}
    bodies: dict[str, dict[str, Any]] = {
        "contacts": {"name": f"Asha {number}", "email": email, "status": "lead"},
        "deals": {"title": f"Racks {number}", "value": amount, "stage": "new"},
        "invoices": {"customer_name": "Asha Rao", "issue_date": "2026-04-01", "lines": [line]},
        "employees": {"name": f"Gopal {number}", "email": email, "joined_on": "2024-01-01", "salary": "50000.00"},
        "campaigns": {"name": f"Diwali {number}", "channel": "email", "budget": "100.00"},
    }
    body = bodies[collection]
    for name, of in {"deals": ("contact_id", "contacts"), "employees": ("department_id", "departments")}.items():
        if name == collection:
            body[of[0]] = tenant.ids[of[1]][0]
    return body
