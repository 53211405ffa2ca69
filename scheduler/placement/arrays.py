"""Arrays: the kinds of NumPy arrays that placement works with, one element a host's slot unless said otherwise."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Slots = npt.NDArray[np.intp]
"""Positions of hosts in the columns, in the order that the text at hand says."""

UNLIMITED = 2**62
"""Stands for what does not run out, and for more than any host has."""
