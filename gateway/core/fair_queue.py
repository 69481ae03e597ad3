"""A bounded queue for requests that have to wait: by priority, and within one by what each tenant has had lately. Pure.

Who has had no more turns lately than an equal share, and what chance explains, is served in the order of arrival. Who
has had more goes after all of these, the least first. So who asks little never waits behind who asks much, and who asks
much gets all that is left. Nobody starves: what a tenant has had fades while it waits. (Weights of turns grow with time
instead of old turns fading one by one: forward decay, Cormode and others 2009.) Where the queue is full, the least
important goes; among equals, the latest of whoever has most waiting.
"""

from collections import deque
from math import sqrt
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# A turn counts half as much after this time.
_HALF_LIFE_S: Final = 1.0
# Turns of who comes at random scatter about their mean by its root; three times that is hardly ever chance.
_CHANCE: Final = 3.0
# Below so many turns it is as if a tenant had had none.
_FORGOTTEN: Final = 1 / 16


class FairQueue(Generic[T]):
    """size_max: of all that wait. priority: 0 is the most important. flow: who takes turns with the others. now_s: any
    steady clock.
    """

    __slots__ = ("_classes", "_number", "_served", "_since_s", "_size_max", "_total", "size")

    def __init__(self, size_max: int, priorities: int) -> None:
        self._size_max = size_max
        # Of each priority: flow -> who waits, with a number in the order of arrival; never empty.
        self._classes: list[dict[str, deque[tuple[int, T]]]] = [{} for _ in range(priorities)]
        self._number = 0
        # Flow -> its turns, each with its weight at that time; all of them together; since when weights grow.
        self._served: dict[str, float] = {}
        self._total = 0.0
        self._since_s = 0.0
        self.size = 0

    def push(self, item: T, flow: str, priority: int) -> T | None:
        """Let it wait. Returns who has to go for it: another, or the item itself, or None where there is room."""
        loser: T | None = None
        if self.size >= self._size_max:
            loser = self._make_room(flow, priority)
            if loser is None:
                return item
        flows = self._classes[priority]
        waiting = flows.get(flow)
        if waiting is None:
            waiting = flows[flow] = deque()
        self._number += 1
        waiting.append((self._number, item))
        self.size += 1
        return loser

    def pop(self, now_s: float) -> T | None:
        """The next in turn, or None."""
        for flows in self._classes:
            if flows:
                weight = self._weight(now_s)
                flow = self._choose(flows, weight)
                self._served[flow] = self._served.get(flow, 0.0) + weight
                self._total += weight
                waiting = flows[flow]
                _, item = waiting.popleft()
                if not waiting:
                    del flows[flow]
                self.size -= 1
                return item
        return None

    def remove(self, item: T, flow: str, priority: int) -> bool:
        """It waits no more. False where it did not wait."""
        flows = self._classes[priority]
        waiting = flows.get(flow, ())
        left = deque(entry for entry in waiting if entry[1] is not item)
        if len(left) == len(waiting):
            return False
        if left:
            flows[flow] = left
        else:
            del flows[flow]
        self.size -= 1
        return True

    def _choose(self, flows: dict[str, deque[tuple[int, T]]], weight: float) -> str:
        served = self._served
        mean = self._total / weight / max(1, len(served))
        most = (mean + _CHANCE * sqrt(mean) + 1.0) * weight
        chosen, first, least = "", -1, 0.0
        for flow, waiting in flows.items():
            turns = served.get(flow, 0.0)
            if turns <= most:
                if first < 0 or waiting[0][0] < first:
                    chosen, first = flow, waiting[0][0]
            elif first < 0 and (not chosen or turns < least):
                chosen, least = flow, turns
        return chosen

    def _make_room(self, flow: str, priority: int) -> T | None:
        """Take out who matters less than a newcomer, or None."""
        for lowest in range(len(self._classes) - 1, priority - 1, -1):
            flows = self._classes[lowest]
            if not flows:
                continue
            longest = max(flows, key=lambda name: len(flows[name]))
            if lowest == priority and len(flows[longest]) <= len(flows.get(flow, ())) + 1:
                # Then it would only change places.
                return None
            waiting = flows[longest]
            _, item = waiting.pop()
            if not waiting:
                del flows[longest]
            self.size -= 1
            return item
        return None

    def _weight(self, now_s: float) -> float:
        """Of a turn now. Once in a half life all is scaled down, and who has had no turn for long is forgotten."""
        age = (now_s - self._since_s) / _HALF_LIFE_S
        if age >= 1.0:
            faded: float = 2.0 ** -min(age, 100.0)
            scaled = {flow: turns * faded for flow, turns in self._served.items()}
            self._served = {flow: turns for flow, turns in scaled.items() if turns >= _FORGOTTEN}
            self._total = sum(self._served.values())
            self._since_s = now_s
            return 1.0
        grown: float = 2.0 ** max(0.0, age)
        return grown

    def __repr__(self) -> str:
        return f"<FairQueue {self.size}/{self._size_max} {[sum(map(len, flows.values())) for flows in self._classes]}>"
