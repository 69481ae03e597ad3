from gateway.core.local_share import Outage, Share
from gateway.core.rate_limit import Window, WindowState

MINUTE = (Window(60, 60_000),)
AT_MS = 1_700_000_000_000
ALL = Outage(1, 4, None)
"""Four workers, and this one has heard of all."""


def taken(share: Share, outage: Outage, now_ms: int, windows: tuple[Window, ...] = MINUTE) -> int:
    """How many requests pass at that moment."""
    count = 0
    while share.take(windows, 1, outage, now_ms).is_allowed:
        count += 1
    return count


def test_a_share_is_the_limit_by_the_workers_and_so_is_what_comes_back() -> None:
    share = Share(MINUTE, 0)
    assert taken(share, ALL, 0) == 15
    assert taken(share, ALL, 3_999) == 0
    assert taken(share, ALL, 4_000) == 1, "a fourth of one a second"
    assert taken(share, ALL, 40_000) == 9


def test_the_numbers_are_this_workers() -> None:
    share = Share(MINUTE, 0)
    assert share.take(MINUTE, 2, ALL, 0).windows == (WindowState(60, 60_000, 13, 8_000, 0),)
    assert share.take(MINUTE, 0, ALL, 0).windows == (WindowState(60, 60_000, 13, 8_000, 0),)
    refused = share.take(MINUTE, 14, ALL, 0)
    assert not refused.is_allowed and refused.is_degraded
    assert refused.windows == (WindowState(60, 60_000, 13, 8_000, 4_000),)


def test_what_the_store_said_last_is_where_it_begins() -> None:
    share = Share(MINUTE, 0)
    share.learn(MINUTE, [40 * 60_000], AT_MS, 1_000)
    assert taken(share, ALL, 1_000) == 5, "a fourth of the twenty that are left"
    share.learn(MINUTE, [60 * 60_000], AT_MS + 5_000, 6_000)
    assert taken(share, ALL, 6_000) == 1, "within one outage its own count holds"
    assert taken(share, Outage(2, 4, None), 6_000) == 0


def test_of_two_things_that_the_store_said_the_one_that_leaves_less_holds() -> None:
    share = Share(MINUTE, 0)
    share.learn(MINUTE, [50 * 60_000], AT_MS, 0)
    share.learn(MINUTE, [0], AT_MS + 1_000, 1_000)  # it was restarted
    assert share.debts == [49 * 60_000]
    share.learn(MINUTE, [60 * 60_000], AT_MS, 1_000)  # an answer that was overtaken
    assert share.debts == [49 * 60_000]


def test_a_clock_of_the_store_that_was_set_back_is_believed() -> None:
    share = Share(MINUTE, 0)
    share.learn(MINUTE, [50 * 60_000], AT_MS, 0)
    share.learn(MINUTE, [10 * 60_000], AT_MS - 3_600_000, 10)
    assert (share.debts, share.at_ms) == ([10 * 60_000], AT_MS - 3_600_000)


def test_what_was_not_heard_may_have_been_taken() -> None:
    deaf = Outage(1, 4, 1_000)
    many = (Window(800, 60_000),)
    assert taken(Share(many, 0), deaf, 1_000, many) == 10, "a fourth of a twentieth"
    assert taken(Share(many, 0), deaf, 31_000, many) == 110, "and of the half that came back since"
    assert taken(Share(MINUTE, 0), deaf, 1_000) == 1, "one at least"
    assert taken(Share(MINUTE, 0), Outage(1, 1, 1_000), 1_000) == 60, "nobody else takes anything"


def test_with_more_workers_than_tokens_each_waits_for_its_turn() -> None:
    few = (Window(3, 60_000),)
    share = Share(few, 0)
    assert taken(share, ALL, 0, few) == 1
    assert taken(share, ALL, 79_999, few) == 0
    assert taken(share, ALL, 80_000, few) == 1, "four workers, 80 s each: three a minute"


def test_every_window_or_none() -> None:
    windows = (Window(60, 60_000), Window(8, 3_600_000))
    share = Share(windows, 0)
    assert taken(share, ALL, 0, windows) == 2
    assert share.take(windows, 1, ALL, 0).windows[0].remaining == 13


def test_it_may_be_forgotten_once_it_is_full_and_nothing_is_owed() -> None:
    share = Share(MINUTE, 0)
    share.learn(MINUTE, [60_000], AT_MS, 0)
    assert not share.is_idle(MINUTE, 2_999)
    assert share.is_idle(MINUTE, 3_000), "an answer may still be under way to it"
    share.owed = 1
    assert not share.is_idle(MINUTE, 3_000)
    assert repr(share) == f"<Share debts=[60000] at {AT_MS}, owed=1>"
