"""Hazard: memory that a streaming body frees goes back to the kernel, and comes again by page faults."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from gateway.workers.heap import keep_freed_memory

def move() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        pieces = [bytes(block) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

block = memoryview(bytes(250_000))
if sys.argv[1] == "kept":
    keep_freed_memory()
move()
print(move())
"""


def faults_of(mode: str) -> int:
    command = [sys.executable, "-c", PROGRAM, mode]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names or not os.confstr("CS_GNU_LIBC_VERSION"), reason="is about glibc"
)
def test_freed_memory_is_used_again() -> None:
    assert faults_of("as it is") > 5_000
    assert faults_of("kept") < 500
