"""What the figures were measured on, and what the measuring needs of it."""

import os
import platform
import resource
import sysconfig
from importlib.metadata import version
from pathlib import Path


def describe_machine() -> str:
    """Processor, how many of them, kernel."""
    kernel = os.uname()
    return f"{_processor_name()} ({os.cpu_count()} processors), {kernel.sysname} {kernel.release}"


def describe_interpreter() -> str:
    """Its version and build, and the packages that the gateway's speed depends on."""
    own = ", ".join(f"{name} {version(name)}" for name in ("uvloop", "aiohttp", "httptools", "mypy"))
    build = build_text(sysconfig.get_config_vars())
    return f"{platform.python_implementation()} {platform.python_version()} ({build}), {own}"


def build_text(variables: dict[str, object]) -> str:
    """Whether it was built with profile-guided and link-time optimization, as its Makefile's variables say.

    Debian's builds ask for them by the make target, so that only the compiler's flags show them.
    """
    arguments = str(variables.get("CONFIG_ARGS") or "")
    flags = " ".join(str(variables.get(name) or "") for name in ("PY_CFLAGS_NODIST", "PY_CORE_CFLAGS", "PY_CFLAGS"))
    has_pgo = "--enable-optimizations" in arguments or "-fprofile-use" in flags
    has_lto = "--with-lto" in arguments or "-flto" in flags
    return f"built {'with' if has_pgo else 'without'} PGO, {'with' if has_lto else 'without'} LTO"


def raise_file_limit(needed: int) -> int:
    """Let this process and those that it starts open so many files, or as many as they may. Returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return soft
    for limits in ((needed, max(needed, hard)), (min(needed, hard), hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        except (ValueError, PermissionError):
            continue
        break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
