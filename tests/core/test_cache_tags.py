import pytest

from gateway.core.cache_tags import unknown_placeholder


@pytest.mark.parametrize("tag", ["crm", "crm:{tenant}", "{user}:{id}:{part}"])
def test_the_callers_and_the_paths_names_are_known(tag: str) -> None:
    assert unknown_placeholder(tag, "/a/{id:int}/{part}/*", has_auth=True) is None


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("", "a tag is not empty"),
        ("a:{tenant}", "the tag a:{tenant} has {tenant}, which is not known here; known: {id}"),
        ("a:{}", "the tag a:{} has {}, which is not known here; known: {id}"),
        ("a:{id", "the braces of the tag a:{id do not match"),
        ("a:{{id}}", "the braces of the tag a:{{id}} do not match"),
    ],
)
def test_others_are_not(tag: str, said: str) -> None:
    assert unknown_placeholder(tag, "/a/{id}", has_auth=False) == said
