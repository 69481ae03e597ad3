"""What asks a live gateway to explain itself: the value of `X-Gateway-Explain`, signed by `gateway.explain_key`. Pure.

`EXPIRY.SIGNATURE`: seconds since the epoch, and HMAC-SHA-256 over expiry, method and path (as sent, without the query)
in hex. So a token that leaks explains one path, for minutes.
"""

import hashlib
import hmac
import re
from typing import Final

EXPLAIN_HEADER: Final = b"x-gateway-explain"
LIFETIME_MAX_S: Final = 3600.0
KEY_SIZE_MIN: Final = 16

_TOKEN: Final = re.compile(rb"([0-9]{1,12})\.([0-9a-f]{64})")


def make_explain_token(key: str, method: str, path: str, *, now_s: float, lifetime_s: float) -> str:
    """A token for one method and path. Raises ValueError for a lifetime that no gateway accepts."""
    if not 0 < lifetime_s <= LIFETIME_MAX_S:
        raise ValueError(f"a token lives an hour at most, and not {lifetime_s:g} s")
    expires_s = int(now_s + lifetime_s)
    return f"{expires_s}.{_signature(key, expires_s, method, path)}"


def is_explain_token(value: bytes, key: str, method: str, path: str, *, now_s: float) -> bool:
    """Whether the value was made with this key for this request, and holds still. One that would hold for longer than
    any may is not: the clock of whoever made it may be wrong, or worse.
    """
    found = _TOKEN.fullmatch(value)
    if found is None:
        return False
    expires_s = int(found[1])
    if not now_s < expires_s <= now_s + LIFETIME_MAX_S + 60:
        return False
    return hmac.compare_digest(found[2].decode(), _signature(key, expires_s, method, path))


def _signature(key: str, expires_s: int, method: str, path: str) -> str:
    # A method has no blank and a path no line end, so no two requests spell one text.
    text = f"explain {expires_s} {method} {path}"
    return hmac.new(key.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
