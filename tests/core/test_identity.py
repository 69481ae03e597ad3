from gateway.core.identity import IDENTITY_HEADERS, Identity


def identity(**more: object) -> Identity:
    described = {
        "tenant": "t1",
        "user": None,
        "plan": None,
        "scopes": frozenset(),
        "claims": {},
        "credential": "jwt:main",
    }
    return Identity(**{**described, **more})  # type: ignore[arg-type]


def test_the_upstream_learns_what_is_known_and_nothing_else() -> None:
    assert identity().upstream_headers == ((b"x-tenant-id", b"t1"),)
    full = identity(user="Zoë", plan="pro", scopes=frozenset({"b", "a"}))
    assert full.upstream_headers == (
        (b"x-tenant-id", b"t1"),
        (b"x-user-id", "Zoë".encode()),
        (b"x-plan", b"pro"),
        (b"x-scopes", b"a b"),
    )
    assert {name for name, _ in full.upstream_headers} == IDENTITY_HEADERS


def test_claims_and_scopes_are_not_shown() -> None:
    shown = repr(identity(claims={"email": "private"}, scopes=frozenset({"crm.read"})))
    assert shown == "<Identity jwt:main tenant='t1' user=None plan=None>"
