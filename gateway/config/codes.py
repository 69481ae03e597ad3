"""Every code of `gateway check`, what it means and what helps. Codes are stable: scripts and editors go by them.

An error is what `serve` refuses as well. A warning is a table that is served and probably does not do what was meant;
an info is something that could be better. Plugins from elsewhere may have codes of their own.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Code(NamedTuple):
    """severity: "error", "warning" or "info"."""

    severity: str
    meaning: str
    fix: str


_ERRORS = {
    # Reading the files.
    "not_yaml": ("The file is not YAML.", "mend the line; indent with spaces, quote values with { } * & # or :"),
    "unknown_tag": ("A YAML tag such as !!python means nothing here.", "leave the tag out"),
    "duplicate_key": ("A key stands twice, and only one of them could count.", "keep one"),
    "missing_file": ("A file of the table cannot be read.", "put the file there, or correct its name"),
    "missing_env": ("An environment variable is not set.", "set it, or give a default: ${env:NAME:-default}"),
    "bad_reference": ("A ${...} is none of ours.", "write ${env:NAME}, ${env:NAME:-default} or ${file:path}"),
    "invalid_include": ("An included file includes others.", "list every file in the main one"),
    "duplicate_include": ("A file is part of the table already.", "list it once"),
    # What stands under a key.
    "wrong_type": ("A list, mapping, text or number stands where another is wanted.", "write the kind that is wanted"),
    "unknown_key": ("There is no such key here.", "correct the key, or take it out"),
    "missing_key": ("A key that has to be here is not.", "add the key"),
    "invalid_value": ("The value is not one that the key takes.", "write a value as the message says"),
    "bad_duration": ("This is no duration.", "write a whole number with its unit: 250ms, 30s, 5m, 24h or 7d"),
    "bad_size": ("This is no size.", "write a whole number with its unit: 512B, 32KiB or 10MiB"),
    "bad_rate": ("This is no rate.", "write 60/min, 10/s, 1000/h or 5/d"),
    "bad_flow": ("This is no least throughput.", "write 2KiB/10s, or none"),
    "bad_percent": ("This is no percentage.", "write a whole number from 0% to 100%"),
    "bad_claim": ("This names no claim of a token.", "write it like claim:tenant_id"),
    "bad_id": ("This is no name.", "write a small letter, then small letters, digits and -"),
    "bad_path": ("This path can match nothing.", "write it like /a/{id}, /a/{id:int} or /a/*"),
    "unknown_method": (
        "This is no HTTP method that routes know.",
        "write GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    ),
    "bad_certificate": ("A certificate or key cannot be used.", "refer to a PEM file: ${file:ca.pem}"),
    "invalid": ("A policy cannot work as it is written.", "do what the message says"),
    # What belongs together.
    "plugin_invalid": ("A plugin cannot be imported or built.", "correct its name in plugins, or the plugin"),
    "missing_policy": ("A policy that must not be forgotten is.", "say it on the route or in defaults, or write none"),
    "invalid_default": ("A policy stands in defaults that belongs on a route.", "move it to its route"),
    "duplicate_id": ("Two routes have one id.", "give one of them another id"),
    "missing_action": ("A route does nothing.", 'write "to" with an upstream, or a policy that answers'),
    "too_many_actions": ("A route does more than one thing.", "keep one, and make a second route for the other"),
    "invalid_split": (
        "The shares of a split cannot be drawn.",
        "name each upstream once, and give one of them a weight of 1 or more",
    ),
    "mirror_to_itself": (
        "A mirror copies requests for an upstream that gets them already.",
        "name another upstream, or take mirror out",
    ),
    "unknown_upstream": ("There is no such upstream.", "correct the name, or define it under upstreams"),
    "unknown_route": ("A test expects a route that there is not.", "correct the id"),
    "unknown_profile": ("There is no such profile in auth.", "correct the name, or define it under auth"),
    "unknown_plan": ("A plan that is needed is not in plans.", "add it to plans, or set identity.default_plan"),
    "duplicate_endpoint": ("An upstream has the same endpoint twice.", "keep one, and give it a weight"),
    "invalid_tls": ("TLS is set for an endpoint without it.", "write https://, or take tls out"),
    "key_refused": ("A key does not go with the algorithms.", "use HS256 with a secret, the others with a public key"),
    "scope_needed": ("Replies to known callers are kept, and nobody said who shares them.", "write scope: tenant"),
    "rewrite_mismatch": (
        "A rewrite does not fit the path of its route.",
        "write what it begins with, or rewrite: none",
    ),
    "test_failed": ("A test of the table does not come true.", "correct the route, or what the test expects"),
    "route_tie": ("Two routes serve one request equally well.", "tell them apart by path, host, methods or headers"),
}
_WARNINGS = {
    "include_empty": ("A pattern of include matches no file.", "correct the pattern, or take it out"),
    "not_in_force": ("A key is read and checked, but does nothing yet.", "take it out, or leave it for later"),
    "without_effect": ("A key changes nothing beside the others.", "do what the message says"),
    "empty_value": ("A key has no value.", "give it a value, or take it out"),
    "unverified": ("An upstream's certificate is not checked.", "take verify: false out, and name its ca"),
    # Which route serves what.
    "shadowed_route": ("A route never serves a request: others take them all.", "take it out, or narrow the others"),
    "falls_through": ("What an authenticated route refuses by method, an open one serves.", "let it have all methods"),
    "stripped_header": ("A route asks for a header that clients cannot be trusted with.", "match by something else"),
    # What nothing uses.
    "unused_upstream": ("No route goes to an upstream.", "take it out, or write a route to it"),
    "unused_profile": ("No route uses a profile of auth.", "take it out, or name it in auth of a route"),
    "unused_plans": ("No route asks for the limits of plans.", "write limit: {plan: true} in defaults"),
    "unused_tag": ("A tag is dropped that no kept reply has, and one of almost that name is.", "correct the tag"),
    # Policies that do not do what they seem to.
    "public_cache": ("Replies to known callers are shared by all.", "write scope: tenant or scope: user"),
    "cache_unused": ("A route keeps replies, and serves nothing that can be kept.", "let it serve GET, or cache: none"),
    "unsafe_retry": ("Retries are set for writes that are never sent twice.", "add idempotency, or limit retry.on"),
    "open_limit": ("A limit against guessing goes away with its store.", "write on_store_down: local or closed"),
    "unlimited_write": ("Anybody may write, as often as they like.", "give the route auth, or a limit by ip"),
    "limit_above_plan": ("A route allows more than every plan.", "lower the rate, or raise the plan"),
    "timeout_order": ("A time limit is never reached, since another one ends first.", "make total the longest"),
    "fault_left_on": ("A route fails or waits on purpose.", "take fault out once the trial is over"),
    # What is open that should not be.
    "secret_in_clear": ("A secret stands in the file.", "write ${env:NAME} or ${file:path} in its place"),
    "secret_default": ("A secret has a default, which all readers of the file know.", "take the default out"),
    "trusts_everybody": ("Every client may say which address it comes from.", "name the addresses of your proxies"),
    "plain_key_set": ("Keys are fetched without TLS, so others can put in theirs.", "write https://"),
    "unbound_token": ("Tokens meant for others are accepted.", "name the issuer and the audience"),
}
_INFOS = {
    "untested_route": ("No test of the table comes to a route.", "add one to tests"),
    "no_tests": ("The table has no tests.", "add a section tests"),
    "limit_by_address": (
        "A limit counts tenants or users where nobody is known, so it counts addresses.",
        "write by: ip",
    ),
    "no_share": ("An upstream of a split or a mirror gets nothing.", "give it a share, or take it out"),
    "mirrored_writes": (
        "Writes are copied to another upstream, which carries them out as well.",
        "give that upstream data of its own, or limit match.methods",
    ),
    "any_origin": ("Every web page may read what known callers get.", "list the origins"),
}

CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        code: Code(severity, *words)
        for severity, codes in (("error", _ERRORS), ("warning", _WARNINGS), ("info", _INFOS))
        for code, words in codes.items()
    }
)
