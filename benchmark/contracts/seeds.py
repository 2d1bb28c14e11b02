"""Seeds, each derived from the name of what it is for."""

import hashlib


def derive_seed(root: int, *names: object) -> int:
    """Derive a 32-bit seed from a root seed and the name of the part that uses it.

    Parameters
    ----------
    root : int
        The run's seed.
    *names : object
        What the seed is for, for example ``"forest", "banjo"``.

    Returns
    -------
    int
        In [0, 2**32), the same for the same arguments on every machine.
    """
    text = "\x1f".join(str(part) for part in (root, *names))
    # the system's names of files may be no UTF-8, which Python takes in as surrogates
    content = text.encode(errors="surrogateescape")
    return int.from_bytes(hashlib.sha256(content).digest()[:4], "big")
