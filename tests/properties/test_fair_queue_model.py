"""Whatever is pushed, popped and given up: nobody is lost, the order is what a plain reading of the rules says, and
nobody starves.
"""

from collections import defaultdict
from math import sqrt

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.fair_queue import FairQueue

Item = tuple[int, str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "pop", "remove"]),
        st.sampled_from("aaaaab"),
        st.integers(0, 2),
        st.sampled_from([0.0, 0.0, 0.1, 1.0, 4.0]),
    ),
    max_size=150,
)


@given(st.integers(0, 30), steps)
@settings(max_examples=300, deadline=None)
def test_it_is_the_model(size_max: int, steps: list[tuple[str, str, int, float]]) -> None:
    queue: FairQueue[Item] = FairQueue(size_max, 3)
    waiting: list[Item] = []
    turns: dict[str, list[float]] = defaultdict(list)
    now_s = 1000.0
    for number, (kind, flow, priority, after_s) in enumerate(steps):
        now_s += after_s
        if kind == "push":
            item = (number, flow, priority)
            loser = queue.push(item, flow, priority)
            if loser is not item:
                waiting.append(item)
            if loser is None:
                assert len(waiting) <= size_max
            else:
                assert len([each for each in waiting if each != item]) == size_max
                assert loser[2] == max(each[2] for each in [*waiting, item])
                if loser is not item:
                    waiting.remove(loser)
                    assert loser[0] == max(each[0] for each in [*waiting, loser] if each[1:] == loser[1:])
        elif kind == "pop":
            popped = queue.pop(now_s)
            assert (popped is None) is (not waiting)
            if popped is not None:
                assert popped in candidates(waiting, turns, now_s)
                waiting.remove(popped)
                turns[popped[1]].append(now_s)
        elif waiting:
            gone = waiting.pop(number % len(waiting))
            assert queue.remove(gone, gone[1], gone[2])
        assert queue.size == len(waiting)


def candidates(waiting: list[Item], turns: dict[str, list[float]], now_s: float) -> list[Item]:
    """Who may be next: one, but for what is so small that the queue may have forgotten it."""
    most_important = min(each[2] for each in waiting)
    heads: dict[str, Item] = {}
    for each in sorted(waiting):
        if each[2] == most_important:
            heads.setdefault(each[1], each)
    had = {flow: sum(0.5 ** (now_s - at_s) for at_s in times) for flow, times in turns.items()}
    found = []
    # Forgotten are those below a sixteenth of a turn, when a second has passed since it was looked at.
    for forgotten in (0.0, 1 / 16, 1 / 8):
        kept = {flow: value for flow, value in had.items() if value >= forgotten}
        mean = sum(kept.values()) / max(1, len(kept))
        for slack in (-1e-6, 1e-6):
            most = mean + 3.0 * sqrt(mean) + 1.0 + slack
            fair = [item for flow, item in heads.items() if kept.get(flow, 0.0) <= most]
            found.append(min(fair) if fair else min(heads.values(), key=lambda item: kept.get(item[1], 0.0)))
    return found


@given(st.integers(2, 40), st.floats(1.0, 200.0))
@settings(max_examples=15, deadline=None)
def test_who_asks_most_still_gets_a_share(others: int, rate: float) -> None:
    """All have something waiting all the time; one has had a hundred turns."""
    queue: FairQueue[str] = FairQueue(1000, 1)
    now_s = 1000.0
    for _ in range(100):
        queue.push("much", "much", 0)
        queue.pop(now_s)
    flows = ["much", *[f"f{number}" for number in range(others)]]
    for flow in flows:
        queue.push(flow, flow, 0)
    served: dict[str, int] = defaultdict(int)
    for _ in range(int(60 * rate) if rate * 60 > 40 * others else 40 * others):
        now_s += 1 / rate
        flow = queue.pop(now_s)
        assert flow is not None
        served[flow] += 1
        queue.push(flow, flow, 0)
    assert min(served[flow] for flow in flows) >= 1
    assert served["much"] <= 2 * max(served[flow] for flow in flows[1:])
