"""Full-text search: what a table keeps of a row's words for `q=`, and what a search asks of the index over it.

Every word is kept with its tenant before it, "acme:asha". The index is one for all tenants, and for the beginning of a
word it puts together every entry that begins so: of words alone, the rows of all tenants (17 ms of CPU a search, seen
at 1,000,000 contacts of 200 tenants). With the tenant in front they are the tenant's own, whoever else is there.

Both sides are cut into words and folded by PostgreSQL's own parser, `simple`; the tenant is put before the words of
what comes of it, so neither can differ from the other.
"""

import re
from typing import Any

from sqlalchemy import String, Text, bindparam, cast, func
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY

from upstream_services.kit.errors import invalid

WORDS_MAX = 10
WORD_MAX = 449
"""Characters. What is longer is not looked in: with the tenant before it, PostgreSQL takes 2,046 bytes."""
# What stands between the words of an address or a code; a search and what it searches are both cut at these.
SEPARATORS = "@._-+/:"
_WORD = re.compile(r"[^\W_]+")
_CUT = str.maketrans(SEPARATORS, " " * len(SEPARATORS))
# In the text of a tsvector or tsquery each word stands in quotes, at the start or after a space, and has neither in it.
_QUOTE = "(^| )'"
_TOO_LONG = "'[^' ]{250}[^' ]{200,}'[^ ]*"  # 250 and 200: a bound of a regular expression is at most 255


def search_expression(columns: tuple[str, ...]) -> str:
    """The SQL of what is kept of a row, a tsvector, from these columns and `tenant_id`."""
    joined = " || ' ' || ".join(f"coalesce({name}, '')" for name in columns)
    words = f"to_tsvector('simple'::regconfig, translate({joined}, '{SEPARATORS}', '{' ' * len(SEPARATORS)}'))"
    short = f"regexp_replace({words}::text, {_literal(_TOO_LONG)}, '', 'g')"
    return f"regexp_replace({short}, {_literal(_QUOTE)}, '\\1''' || tenant_id || ':', 'g')::tsvector"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def sought(tenant: str, text: str) -> dict[str, str]:
    """The values of `MATCH` for a `q`. Raises a 422 problem for a text without a word, or with one that is too long."""
    words = _WORD.findall(text.translate(_CUT))[:WORDS_MAX]
    if not words:
        raise invalid("q", "has no word to look for")
    if max(map(len, words)) > WORD_MAX:
        raise invalid("q", f"has a word of more than {WORD_MAX} characters")
    return {"sought": " & ".join(f"'{word}':*" for word in words), "sought_of": f"\\1'{tenant}:"}


def _match(words: Any, of_tenant: Any) -> Any:
    prefixes = func.to_tsquery(cast("simple", REGCONFIG), words)
    return cast(func.regexp_replace(cast(prefixes, Text), _QUOTE, of_tenant, "g"), TSQUERY)


MATCH = _match(bindparam("sought", type_=String), bindparam("sought_of", type_=String))
"""What the index is asked for: rows of the tenant that have words that start with each word of the text."""


def search_query(tenant: str, text: str) -> Any:
    """`MATCH` with its values."""
    return _match(*sought(tenant, text).values())
