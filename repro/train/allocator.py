"""The C library's allocator, told to keep what a step frees: the next step asks for the same again."""

from __future__ import annotations

import ctypes
import platform

#: Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: The largest threshold glibc takes (on 64 bits): blocks beyond it, such as a whole data set, still go back when freed.
_LARGEST = 32 * 2**20


def keep_memory() -> bool:
    """Make glibc keep freed memory for this process, and take no blocks of up to 32 MiB straight from the kernel.

    A feature map of a batch has some MB. By default many of them go back to the kernel in each step, and are mapped,
    cleared and faulted in anew in the next. Values do not depend on where they lie, so results stay the same to the
    bit. Calling it again changes nothing.

    Returns:
        Whether it was done: not elsewhere than on Linux with glibc.
    """
    if platform.system() != "Linux":
        return False
    try:
        library = ctypes.CDLL(None)
        # Other C libraries, and allocators that are preloaded, need not know these numbers.
        _ = library.gnu_get_libc_version
        mallopt = library.mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, -1))
