from gateway.core.cache_reply import StoredReply


def stored(**changes: object) -> StoredReply:
    fields: dict[str, object] = {
        "status": 200,
        "headers": ((b"etag", b'"secret"'),),
        "body": b"body",
        "response_time_s": 1000.0,
        "initial_age_s": 5.0,
        "lifetime_s": 60.0,
    }
    return StoredReply(**(fields | changes))  # type: ignore[arg-type]


def test_rfc_9111_section_4_2_3_current_age() -> None:
    assert stored().age_s(1000.0) == 5
    assert stored().age_s(1010.5) == 15.5


def test_a_clock_that_is_set_back_makes_nothing_younger_than_it_came() -> None:
    assert stored().age_s(0.0) == 5


def test_how_long_a_store_keeps_it() -> None:
    assert stored().useful_until_s() == 1055
    assert stored(stale_s=10.0, stale_if_error_s=40.0).useful_until_s() == 1095
    assert stored(lifetime_s=0.0).useful_until_s() == 1000


def test_equality_is_of_all_fields() -> None:
    assert stored() == stored()
    for change in ({"status": 404}, {"body": b""}, {"tags": ("a",)}, {"vary": (b"a",)}, {"is_recoded": True}):
        assert stored() != stored(**change)
    assert stored() != "stored"


def test_its_repr_tells_no_values() -> None:
    assert repr(stored()) == "<StoredReply 200 4 bytes, 55 s>"


def test_what_can_be_validated() -> None:
    assert not stored().has_validator
    assert stored(etag=b'"a"').has_validator
    assert stored(last_modified=b"Sun, 06 Nov 1994 08:49:37 GMT").has_validator
