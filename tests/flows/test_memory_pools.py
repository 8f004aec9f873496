"""Memory pools, as glibc itself counts them."""

import platform
import subprocess
import sys

import pytest

# Threads that hold memory at the same time, each of which would have a pool of its own.
_PROGRAM = """
import ctypes, sys, threading
from flows.memory_pools import share_memory_pools

if sys.argv[1] == "shared":
    share_memory_pools()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
meeting = threading.Barrier(6)

def hold():
    libc.free(ctypes.c_void_p(libc.malloc(1000)))
    meeting.wait()

threads = [threading.Thread(target=hold) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def pools(how):
    command = [sys.executable, "-c", _PROGRAM, how]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return ended.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has pools for threads")
def test_threads_share_two_pools():
    assert pools("own") > 2
    assert pools("shared") == 2
