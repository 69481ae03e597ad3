"""Tables for the tests of explaining."""

from collections.abc import Mapping

from gateway.config.load import LoadedTable, load_table
from gateway.config.source import from_memory

ENVIRON = {"SECRET": "0123456789abcdef0123456789abcdef", "KEY": "a-secret-for-an-upstream"}
TABLE = """\
version: 1
auth:
  main: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}
  machines: {api_key: {keys: {}}}
plans:
  free: {limits: [60/min, 1000/h]}
  pro: {limits: [500/min]}
defaults:
  auth: main
  limit: {plan: true}
  rewrite: {strip: /api}
  timeout: {total: 9s}
upstreams:
  crm: {endpoints: ["http://127.0.0.1:8101"]}
routes:
- id: lists
  match: {path: /api/crm/*, methods: [GET]}
  to: crm
  allow: {scopes: [crm.read]}
  cache: {ttl: 3m, scope: tenant, vary: [accept]}
- id: records
  match: {path: "/api/crm/{id:int}", methods: [GET]}
  to: crm
  headers: {request: {set: {X-Key: "${env:KEY}"}}}
  timeout: {connect: 2s}
  retry: {attempts: 3}
- id: writes
  match: {path: /api/crm/*, methods: [POST]}
  to: crm
  limit: 5/min
- id: beta
  match: {path: /api/crm/*, methods: [GET], headers: {x-beta: "1"}}
  to: crm
- id: hosted
  match: {path: /api/*, host: api.example}
  to: crm
  auth: machines
- id: open
  match: /open
  auth: none
  limit: none
  respond: {status: 203, json: {ok: true}}
"""


def load(text: str = TABLE, environ: Mapping[str, str] = ENVIRON) -> LoadedTable:
    """The table of that text."""
    read_file, find_files = from_memory({"routes.yaml": text})
    return load_table("routes.yaml", environ=environ, read_file=read_file, find_files=find_files)
