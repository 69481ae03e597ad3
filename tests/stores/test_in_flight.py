from gateway.stores.in_flight import WorkerInFlight


def test_a_worker_gives_its_share_of_the_cap_and_one_at_least() -> None:
    workers = 1
    counts = WorkerInFlight(lambda: workers)
    assert [counts.enter("a", 8) for _ in range(9)] == [True] * 8 + [False]
    workers = 4
    assert [counts.enter("b", 8) for _ in range(3)] == [True, True, False]
    assert [counts.enter("c", 3) for _ in range(2)] == [True, False]
    assert not counts.enter("a", 8), "a share that became smaller takes nobody's place away"
    for _ in range(6):
        counts.leave("a")
    assert not counts.enter("a", 8)
    counts.leave("a")
    assert counts.enter("a", 8)


def test_a_key_is_forgotten_with_its_last_request() -> None:
    counts = WorkerInFlight(lambda: 1)
    counts.enter("a", 2)
    counts.enter("a", 2)
    counts.leave("a")
    assert repr(counts) == "<WorkerInFlight 1 of 1 keys>"
    counts.leave("a")
    assert repr(counts) == "<WorkerInFlight 0 of 0 keys>"
