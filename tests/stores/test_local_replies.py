"""Hazard: this worker's memory gives out what was purged, or grows past its bound."""

import pytest

from gateway.core.kept_replies import Purge, Variant
from gateway.stores.local_replies import VARIANTS_MAX, LocalReplies
from tests.stores.reply_material import KEY, OTHER, stored, variant


class Evictions:
    """route: of the last one."""

    def __init__(self) -> None:
        self.count = 0.0
        self.route = ""

    def __call__(self, route: str) -> "Evictions":
        self.route = route
        return self

    def inc(self, amount: float = 1.0) -> None:
        self.count += amount


def local(size_max: int = 1 << 20) -> LocalReplies:
    return LocalReplies(size_max, Evictions(), lambda size: None)


def bodies(kept: LocalReplies, key: tuple[str, str, str, str, str] = KEY) -> list[bytes]:
    return sorted(each.stored.body for each in kept.find(key) or [])


def test_variants_of_a_key_lie_side_by_side_and_replace_their_like() -> None:
    kept = local()
    for each in (variant(b"1"), variant(b"2", name=b"m"), variant(b"3")):
        assert kept.put(KEY, each, kept.mark)
    assert bodies(kept) == [b"2", b"3"]
    assert kept.find(OTHER) is None


def test_a_purged_tag_takes_its_variants_and_leaves_the_others() -> None:
    kept = local()
    kept.put(KEY, variant(b"a", ("a", "x")), 0)
    kept.put(KEY, variant(b"ab", ("ab", "x"), name=b"m"), 0)
    kept.put(OTHER, variant(b"other", ("ab",)), 0)
    kept.purge(Purge(tags=("a",)))
    assert (bodies(kept), bodies(kept, OTHER)) == ([b"ab"], [b"other"])
    kept.purge(Purge(tags=("x",)))
    assert (bodies(kept), bodies(kept, OTHER)) == ([], [b"other"])
    kept.purge(Purge(tags=("ab",)))
    assert bodies(kept, OTHER) == []
    assert repr(kept) == "<LocalReplies <S3Fifo 0 entries, 0 of 1048576 bytes>, 0 tags>"


def test_a_purged_key_goes_with_all_its_variants() -> None:
    kept = local()
    kept.put(KEY, variant(b"1"), 0)
    kept.put(OTHER, variant(b"2"), 0)
    kept.purge(Purge(keys=(KEY,)))
    assert (bodies(kept), bodies(kept, OTHER)) == ([], [b"2"])


@pytest.mark.parametrize("purge", [Purge(tags=("a",)), Purge(keys=(KEY,)), Purge(everything=True)])
def test_what_was_asked_for_before_a_purge_is_not_taken_after_it(purge: Purge) -> None:
    kept = local()
    mark = kept.mark
    kept.purge(purge)
    assert not kept.put(KEY, variant(b"old", ("a",)), mark)
    assert kept.find(KEY) is None
    assert kept.put(KEY, variant(b"new", ("a",)), kept.mark)


def test_a_purge_of_something_else_is_no_hindrance() -> None:
    kept = local()
    mark = kept.mark
    kept.purge(Purge(tags=("ab",), keys=(OTHER,)))
    assert kept.put(KEY, variant(b"1", ("a",)), mark)


def test_past_what_is_remembered_of_purges_nothing_that_was_under_way_is_taken() -> None:
    kept = local()
    mark = kept.mark
    for number in range(11):
        kept.purge(Purge(tags=tuple(f"{number}:{each}" for each in range(1_000))))
    assert not kept.put(KEY, variant(b"1", ("a",)), mark)
    assert kept.put(KEY, variant(b"1", ("a",)), kept.mark)


def test_nothing_is_kept_while_purges_may_get_lost() -> None:
    kept = local()
    kept.put(KEY, variant(), 0)
    mark = kept.mark
    kept.trust(False)
    assert kept.find(KEY) is None
    assert not kept.put(KEY, variant(), kept.mark)
    assert "not trusted" in repr(kept)
    kept.trust(True)
    assert not kept.put(KEY, variant(), mark)
    assert kept.put(KEY, variant(), kept.mark)


def test_it_stays_within_its_bytes_and_counts_what_had_to_go() -> None:
    evictions = Evictions()
    sizes: list[float] = []
    kept = LocalReplies(100_000, evictions, sizes.append)
    for number in range(200):
        kept.put((*KEY[:4], str(number)), variant(b"x" * 1_000, ("a", f"t{number}"), b"r@up|"), kept.mark)
    assert sizes[-1] == kept.size <= 100_000
    assert evictions.count > 100
    assert evictions.route == "r"
    kept.purge(Purge(tags=("a",)))
    assert sizes[-1] == kept.size == 0
    assert "0 tags" in repr(kept)


def test_what_is_too_large_is_not_kept_and_leaves_no_tags() -> None:
    kept = local(10_000)
    assert not kept.put(KEY, variant(b"x" * 10_000, ("a",)), 0)
    assert "0 tags" in repr(kept)


def test_a_value_for_each_client_makes_no_endless_list() -> None:
    kept = local()
    for number in range(100):
        kept.put(KEY, Variant(b"%d" % number, stored(tags=(f"t{number}",))), 0)
    assert len(kept.find(KEY) or []) == VARIANTS_MAX
    assert f"{VARIANTS_MAX} tags" in repr(kept)
