"""Which instructions a run computes with: AVX2's on every x86-64 processor.

Bits depend on them. With AVX-512 sums are taken in another order, and reciprocal roots are
approximated otherwise; in a network's training that grows to thousandths of its mAP.
"""

import platform

#: Whether every processor of this kind gives the same bits; of others that is not known.
HELD = platform.machine().lower() in ("x86_64", "amd64")

#: The instruction set that runs are computed with, as records name it.
INSTRUCTIONS = "AVX2" if HELD else platform.machine()

#: For networks: XLA's code, its own kernels, and oneDNN's products of matrices within XLA.
NETWORKS = {
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_enable_platform_dependent_math=false",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
} if HELD else {}  # fmt: skip

#: For NumPy, SciPy and scikit-learn; read when NumPy is imported. What AVX-512 is called depends on
#: NumPy's version.
ARRAYS = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX X86_V4",
} if HELD else {}  # fmt: skip
