"""Which instructions NumPy and its linear algebra compute with in a run: AVX2's at most.

Sums are taken in another order with wider ones, and logarithms end in other bits. So held, linear
models have the same bits on every x86-64 processor with AVX2, as trees have anyway. Networks have
not: the products of matrices within XLA are cut into blocks by the size of a processor's caches,
and computed by oneDNN and by XLA's own kernels with the widest instructions there are.
"""

import platform

_X86 = platform.machine().lower() in ("x86_64", "amd64")

#: Variables that are read when NumPy is imported, whose version decides what AVX-512 is called.
AVX2 = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX X86_V4",
} if _X86 else {}  # fmt: skip
