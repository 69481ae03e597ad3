"""Which of several weighted choices is a key's: always the same one, wherever and whenever it is asked for. Pure.

Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after Schindelhauer and Schomaker 2005): for each
choice a number u between 0 and 1 is drawn by a hash of the choice's name and the key, and the least -ln(u) / weight has
it. So a key that changes hands goes to a choice whose weight has grown against that of its old one: where one weight
changes, only as many keys move as have to, all of them to that choice or all of them from it. Neither the order of the
choices counts, nor the sum of their weights.
"""

from collections.abc import Iterable
from hashlib import blake2b
from math import log
from typing import Final

_STEPS: Final = 1 << 53
"""What a float tells apart between 0 and 1."""


class WeightedChoice:
    """shares: names, each once, with weights of 0 or more, one of them above 0."""

    __slots__ = ("_shares",)

    def __init__(self, shares: Iterable[tuple[str, int]]) -> None:
        # One of weight 0 gets nothing, so it is no choice.
        self._shares = [(name, blake2b(name.encode(), digest_size=8), weight) for name, weight in shares if weight]
        if not self._shares:
            raise ValueError("every weight is 0")

    def choose(self, key: str) -> str:
        """Whose the key is. A hash is half a microsecond for each choice."""
        text = b"\0" + key.encode("utf-8", "surrogatepass")
        best = ""
        least = 0.0
        for name, hasher, weight in self._shares:
            drawing = hasher.copy()
            drawing.update(text)
            # Never 0 and never 1.
            drawn = ((int.from_bytes(drawing.digest(), "big") >> 11) + 0.5) / _STEPS
            score = -log(drawn) / weight
            if not best or score < least:
                best, least = name, score
        return best

    def __repr__(self) -> str:
        return f"<WeightedChoice {', '.join(f'{name} {weight}' for name, _, weight in self._shares)}>"
