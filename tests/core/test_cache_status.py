import pytest

from gateway.core.cache_status import FORWARD_REASONS, forward_status, hit_status


def test_rfc_9211_section_2_1_hit() -> None:
    assert hit_status(99.9) == b"gateway; hit; ttl=99"
    assert hit_status(-3.0) == b"gateway; hit; ttl=-3"
    assert hit_status(5.0, b"stale-if-error") == b"gateway; hit; ttl=5; detail=stale-if-error"


def test_rfc_9211_section_2_2_forwarded() -> None:
    assert forward_status(b"uri-miss") == b"gateway; fwd=uri-miss"
    assert forward_status(b"stale", status=304, ttl_s=60.0, stored=True) == (
        b"gateway; fwd=stale; fwd-status=304; ttl=60; stored"
    )
    assert forward_status(b"uri-miss", collapsed=True) == b"gateway; fwd=uri-miss; collapsed"
    for reason in FORWARD_REASONS:
        assert reason in forward_status(reason)


def test_reasons_that_the_rfc_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="no reason to forward"):
        forward_status(b"because")


@pytest.mark.parametrize("ttl_s", [1e300, -1e300])
def test_rfc_9651_section_3_3_1_integers_have_fifteen_digits_at_most(ttl_s: float) -> None:
    digits = hit_status(ttl_s).rpartition(b"=")[2].lstrip(b"-")
    assert len(digits) <= 15
