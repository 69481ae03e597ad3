"""Consistent hashing after ketama (Last.fm, 2007): a key keeps its member while that one is there.

Each member stands at many points of a ring, by the hash of its name and a number, as many as its own weight says and
whatever the others are. A key belongs to the next point clockwise. So a member that goes leaves all other points where
they are, and only its own keys move, to whoever comes next; and to leave a member out of the choice gives the same as a
ring without it.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Final, Generic, TypeVar

POINTS_PER_WEIGHT: Final = 160
"""Shares are then within some 8 % (a standard deviation) of the weights'."""

_POINTS_MAX: Final = 16_000

T = TypeVar("T")


class Ring(Generic[T]):
    """members: each with its name and its weight of 1 or more.

    Above a weight of 100 there are fewer points for each unit of it, for all members alike: a change of the largest
    weight moves other keys as well then.
    """

    __slots__ = ("_hashes", "_owners")

    def __init__(self, members: Iterable[tuple[T, str, int]]) -> None:
        listed = list(members)
        heaviest = max(weight for _, _, weight in listed)
        points_per_weight = min(POINTS_PER_WEIGHT, max(1, _POINTS_MAX // heaviest))
        points = [
            (_hash(f"{name}#{number}"), name, member)
            for member, name, weight in listed
            for number in range(weight * points_per_weight)
        ]
        points.sort(key=lambda point: point[:2])
        self._hashes = [point[0] for point in points]
        self._owners = [point[2] for point in points]

    def choose(self, key: str, candidates: Collection[T]) -> T:
        """Whose key it is among the candidates, which are members, at least one."""
        owners = self._owners
        start = bisect_right(self._hashes, _hash(key))
        for index in range(start, start + len(owners)):
            owner = owners[index % len(owners)]
            if owner in candidates:
                return owner
        raise ValueError("no candidate is a member of the ring")


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
