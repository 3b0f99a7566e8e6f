import numpy as np
import numpy.typing as npt

_Ints = npt.NDArray[np.int64]

class csr_array:
    def __init__(self, given: tuple[npt.NDArray[np.float64], tuple[_Ints, _Ints]], shape: tuple[int, int]) -> None: ...
