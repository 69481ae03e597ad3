"""What is sent: the files of the upstream and the tokens of the callers."""

import json
import random
import time
from pathlib import Path

import jwt

from tests.bench.work import GROWTH_PATHS, SIZES, TENANTS, WORK

PATHS = sorted({work.path for work in WORK} | set(GROWTH_PATHS))
_LIFETIME_S = 86_400
_WORDS = ("open", "won", "lost", "quote", "invoice", "follow-up", "renewal", "partner", "retail", "wholesale", "export")


def write_files(folder: Path) -> dict[str, bytes]:
    """The upstream's files below `files`. Returns the body that belongs to each path."""
    served = {path: _json(SIZES[path.rpartition("/")[2]]) for path in PATHS}
    for path, body in served.items():
        file = folder / "files" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    return served


def make_credentials(secret: str, count: int, tenants: int = TENANTS) -> list[str]:
    """An Authorization value for each caller, signed with HS256."""
    expires_s = int(time.time()) + _LIFETIME_S
    return [
        "Bearer "
        + jwt.encode(
            {
                "iss": "bench",
                "aud": "api",
                "sub": f"user-{number}",
                "tenant_id": f"tenant-{number % tenants}",
                "plan": "pro",
                "scope": "crm.read crm.write",
                "exp": expires_s,
            },
            secret,
            algorithm="HS256",
        )
        for number in range(count)
    ]


def _json(size_bytes: int) -> bytes:
    """A page of records, about as compressible as an API's replies are."""
    rng = random.Random(size_bytes)
    items: list[dict[str, object]] = []
    while len(json.dumps({"items": items})) < size_bytes - 180:
        items.append(
            {
                "id": rng.getrandbits(60),
                "name": f"{rng.choice(_WORDS)} {rng.randrange(10**5)}",
                "stage": rng.choice(_WORDS),
                "amount": f"{rng.randrange(10**7) / 100:.2f}",
                "note": " ".join(rng.choices(_WORDS, k=5)),
            }
        )
    text = json.dumps({"items": items, "next": ""})
    return f'{text[:-2]}{rng.randbytes(size_bytes).hex()[: size_bytes - len(text)]}"}}'.encode()
