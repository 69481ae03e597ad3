import pytest

from gateway.stores.memory_claims import MemoryClaims
from tests.stores import claims_suite


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    "holds",
    [
        claims_suite.assert_the_first_has_it,
        claims_suite.assert_only_its_owner_replaces_it,
        claims_suite.assert_a_freed_key_is_anybodys,
    ],
)
async def test_it_is_a_claim_store(holds: object) -> None:
    await holds(MemoryClaims(Clock()))  # type: ignore[operator]


async def test_of_many_at_once_one_has_it() -> None:
    store = MemoryClaims(Clock())
    await claims_suite.assert_of_many_at_once_one_has_it(store, store)


async def test_a_claim_ends_unless_it_is_renewed() -> None:
    clock = Clock()
    store = MemoryClaims(clock)
    await store.claim("a", b"mine", 15)
    clock.now_s += 14
    assert await store.replace("a", b"mine", b"mine", 15)
    clock.now_s += 14
    assert await store.claim("a", b"yours", 15) == b"mine"
    clock.now_s += 1
    assert not await store.replace("a", b"mine", b"mine", 15)
    assert await store.claim("a", b"yours", 15) is None


async def test_past_its_size_the_oldest_go() -> None:
    store = MemoryClaims(Clock(), size_max=10_000)
    for number in range(20):
        await store.claim(f"k{number}", bytes(1000), 60)
    assert await store.claim("k19", b"x", 60) == bytes(1000)
    assert await store.claim("k0", b"x", 60) is None
    assert int(repr(store).split()[3]) <= 10_000
    await store.close()
    assert repr(store) == "<MemoryClaims 0 of 0 bytes>"


async def test_what_is_replaced_is_as_young_as_what_is_new() -> None:
    store = MemoryClaims(Clock(), size_max=3_000)
    await store.claim("first", b"mine", 60)
    await store.claim("second", bytes(1000), 60)
    await store.replace("first", b"mine", bytes(500), 60)
    await store.claim("third", bytes(1000), 60)
    assert await store.claim("first", b"x", 60) == bytes(500)
    assert await store.claim("second", b"x", 60) is None
