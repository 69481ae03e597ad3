"""Hazard: the repository grows by folders nobody agreed on, by files too long to read, by sources nobody tests."""

import subprocess
from functools import cache
from pathlib import Path

TOP = Path(__file__).parents[1]
ALLOWED = {
    *("gateway", "plugins", "upstream_services", "tests", "deploy"),
    *("routes.yaml", "pyproject.toml", "README.md", "Makefile", ".ci"),
}
LINES_MAX = 500

# Source -> where its tests are instead, because ...
TESTED_ELSEWHERE = {
    # ... it is what a process does as a whole, and is tested as one.
    "gateway/__main__.py": "tests/test_cli.py",
    "gateway/config/settings.py": "tests/test_cli.py",
    "gateway/development_token.py": "tests/test_cli.py",
    "gateway/workers/supervisor.py": "tests/workers/test_processes.py",
    "gateway/workers/slot.py": "tests/workers/test_processes.py",
    "gateway/workers/worker.py": "tests/workers/test_processes.py",
    # ... it is one half of a format, and only both halves together can be wrong.
    "gateway/observe/metrics_buffer.py": "tests/observe/test_metrics.py",
    "gateway/observe/metrics_reader.py": "tests/observe/test_metrics.py",
    "gateway/observe/line_writer.py": "tests/observe/test_access_log.py",
    # ... it is nothing but what it does on the wire.
    "gateway/upstreams/prober.py": "tests/faults/test_probes.py",
    "gateway/config/mirroring.py": "tests/proxy/test_ways_mirror.py",
    # ... it is a step of loading a table, which is tested as an operator sees it: by the mistakes in it,
    "gateway/config/checks.py": "tests/config/test_load_mistakes.py",
    "gateway/config/forms.py": "tests/config/test_load_mistakes.py",
    "gateway/config/model.py": "tests/config/test_load_mistakes.py",
    "gateway/config/problems.py": "tests/config/test_load_mistakes.py",
    "gateway/config/translate.py": "tests/config/test_load_mistakes.py",
    # by the tests that the table itself has,
    "gateway/config/table_test.py": "tests/explain/test_table_tests.py",
    # by what a schema says of the same tables,
    "gateway/core/schema_hints.py": "tests/config/test_schema_agrees.py",
    # by what it shows of secrets,
    "gateway/config/describe.py": "tests/config/test_secrets_stay_secret.py",
    "gateway/config/references.py": "tests/config/test_secrets_stay_secret.py",
    # and by the snapshot that comes of it.
    "gateway/config/offline.py": "tests/config/test_compile.py",
    "gateway/config/snapshot.py": "tests/config/test_compile.py",
    # ... all stores of replies have one suite.
    "gateway/stores/memory_replies.py": "tests/stores/test_reply_stores.py",
    "gateway/stores/redis_replies.py": "tests/stores/test_reply_stores.py",
    # ... what a change means is tested as an operator reads it.
    "plugins/allow_changes.py": "tests/explain/test_diff_policies.py",
    "plugins/auth_changes.py": "tests/explain/test_diff_policies.py",
    "plugins/cache_words.py": "tests/explain/test_diff_policies.py",
    "plugins/cors_changes.py": "tests/explain/test_diff_policies.py",
    "plugins/limit_changes.py": "tests/explain/test_diff_policies.py",
    "gateway/core/changes.py": "tests/explain/test_diff_policies.py",
    # ... what stands under a key is tested with the plugin that owns the key.
    "plugins/auth_settings.py": "tests/plugins/test_auth.py",
    "plugins/limit_settings.py": "tests/plugins/test_limit.py",
    # ... it only says what others do, and the example keeps to every word of it.
    "gateway/plugin_api.py": "tests/plugins/test_example.py",
    # ... the name says more: there are two applications.
    "gateway/admin/app.py": "tests/admin/test_admin_app.py",
}


@cache
def files() -> tuple[str, ...]:
    """What is in git or would be with the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        check=True,
    )
    return tuple(name for name in listed.stdout.decode().split("\0") if name and (TOP / name).is_file())


def sources() -> list[str]:
    """The modules that do something; a package's `__init__` that only says what it is for does not."""
    found = [name for name in files() if name.endswith(".py") and name.startswith(("gateway/", "plugins/"))]
    return [name for name in found if not name.endswith("__init__.py")]


def own_tests(source: str) -> list[str]:
    """Of `gateway/core/paths.py`: `tests/core/test_paths.py`, and `tests/core/test_paths_hazard.py` where the hazards
    have files of their own.
    """
    path = Path(source.removeprefix("gateway/"))
    start = Path("tests", path.parent, f"test_{path.stem}")
    return [
        name
        for name in files()
        if name == f"{start}.py" or (name.startswith(f"{start}_") and "/" not in name[len(str(start)) :])
    ]


def test_the_top_level_is_what_was_agreed_on() -> None:
    top = {name.split("/")[0] for name in files()}
    assert {name for name in top if not name.startswith(".")} | {".ci"} == ALLOWED


def test_every_source_file_has_its_test_file() -> None:
    homeless = [name for name in sources() if name not in TESTED_ELSEWHERE and not own_tests(name)]
    assert homeless == []


def test_no_exception_outlives_its_reason() -> None:
    assert set(TESTED_ELSEWHERE) <= set(sources())
    assert set(TESTED_ELSEWHERE.values()) <= set(files())
    assert [name for name in TESTED_ELSEWHERE if own_tests(name)] == []


def test_no_file_is_too_long_to_read() -> None:
    long = {}
    for name in files():
        if name.endswith((".py", ".lua", ".yaml", ".md")):
            count = len((TOP / name).read_text().splitlines())
            if count > LINES_MAX:
                long[name] = count
    assert long == {}


def test_packages_only_describe_themselves() -> None:
    """What an `__init__` holds beyond a docstring and imports would have no test file."""
    for name in files():
        if name.startswith(("gateway/", "plugins/")) and name.endswith("__init__.py"):
            lines = (TOP / name).read_text().splitlines()
            assert not [line for line in lines if line.startswith(("def ", "class ", "async ", "if ", "for "))], name
