"""`gateway explain`: its arguments, and what it prints."""

import argparse
import json
import logging
import sys
import time
from typing import Any

from gateway.config.load import LoadedTable, load_table
from gateway.core.explain_token import make_explain_token
from gateway.explain.explanation import RequestInvalid, explain, read_request
from gateway.explain.rehearsal import Rehearsal
from gateway.explain.table_tests import run_apart
from gateway.explain.text import explanation_text

_USAGE = 2
_CALLER = ("tenant", "user", "plan", "scopes", "modules")


def fill_explain(parser: argparse.ArgumentParser, duration: Any) -> None:
    """The arguments of `gateway explain`, without --config. duration: the type of a flag in seconds."""
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("url", metavar="URL", help="a path, or http://host/path")
    parser.add_argument("--token", help="a real token; it is verified")
    for name in _CALLER:
        separated = ", separated by commas" if name in ("scopes", "modules") else ""
        parser.add_argument(f"--{name}", help=f"of a caller who needs no token here{separated}")
    parser.add_argument("--header", action="append", default=[], metavar="'N: V'", help="a request header; repeat it")
    parser.add_argument("--ip", default="127.0.0.1", help="where the request comes from")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--sign", action="store_true", help="print a value of X-Gateway-Explain for this request to a live gateway"
    )
    parser.add_argument("--expires", type=duration, default="5m", help="of --sign; an hour at most")
    parser.set_defaults(run=run_explain)


def run_explain(found: argparse.Namespace) -> int:
    """Returns the exit code: 0, or 2 where what is asked is no request. Raises TableInvalid."""
    # A plugin that fails is told of in the explanation, and its traceback is of no use to an operator.
    logging.getLogger("gateway").addHandler(logging.NullHandler())
    caller = {name: getattr(found, name) for name in _CALLER}
    try:
        if found.token is not None and any(value is not None for value in caller.values()):
            raise RequestInvalid("a token says itself who asks: leave out either --token or the caller's flags")
        request = read_request(
            found.method, found.url, headers=found.header, token=found.token, peer_ip=found.ip, caller=caller
        )
        loaded = load_table(found.config)
        if found.sign:
            sys.stdout.write(_sign(loaded, request.method, request.target, found.expires) + "\n")
            return 0
    except ValueError as error:
        sys.stderr.write(f"gateway explain: {error}\n")
        return _USAGE
    explanation = run_apart(explain(Rehearsal(loaded), request))
    if found.json:
        sys.stdout.write(json.dumps(explanation, indent=2) + "\n")
    else:
        sys.stdout.write(explanation_text(explanation))
    return 0


def _sign(loaded: LoadedTable, method: str, target: str, lifetime_s: float) -> str:
    key = loaded.table.gateway.explain_key
    if key is None:
        raise ValueError(f"{loaded.path} has no gateway.explain_key, so no live gateway explains anything")
    path = target.partition("?")[0]
    return make_explain_token(key.get_secret_value(), method, path, now_s=time.time(), lifetime_s=lifetime_s)
