"""Negotiation against RFC 9110 section 12.5.3 spelled out on the values before they become text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.content_coding import choose_coding

CODINGS = ["zstd", "br", "gzip", "deflate", "identity", "*"]
OFFERED = ("zstd", "br", "gzip")

weights = st.dictionaries(st.sampled_from(CODINGS), st.sampled_from([None, 0, 1, 500, 999, 1000]))


def as_field(drawn: dict[str, int | None]) -> bytes:
    members = [name if weight is None else f"{name};q={weight / 1000:.3f}" for name, weight in drawn.items()]
    return ", ".join(members).encode()


@settings(max_examples=400)
@given(weights)
def test_the_choice_is_acceptable_and_nothing_offered_is_liked_better(drawn: dict[str, int | None]) -> None:
    liked = {name: 1000 if weight is None else weight for name, weight in drawn.items()}
    of_coding = {name: liked.get(name, liked.get("*", 0)) for name in OFFERED}
    # 0.5 thousandths: acceptable, after everything that is mentioned.
    of_identity = liked.get("identity", liked.get("*", 0.5))
    chosen = choose_coding(as_field(drawn), OFFERED)
    best = max(*of_coding.values(), of_identity)
    if chosen is None:
        assert best == 0
    elif chosen == "identity":
        assert of_identity == best > max(of_coding.values())
    else:
        assert of_coding[chosen] == best > 0
        assert chosen == next(name for name in OFFERED if of_coding[name] == best)


@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(accept_encoding: bytes) -> None:
    assert choose_coding(accept_encoding, OFFERED) in (*OFFERED, "identity", None)
