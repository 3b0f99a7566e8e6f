import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

class OptimizeResult:
    status: int
    x: npt.NDArray[np.float64] | None

def linprog(
    c: npt.NDArray[np.float64],
    A_ub: csr_array | None = None,
    b_ub: npt.NDArray[np.float64] | None = None,
    A_eq: csr_array | None = None,
    b_eq: npt.NDArray[np.float64] | None = None,
    bounds: npt.NDArray[np.float64] | None = None,
    method: str = ...,
    options: dict[str, int] | None = None,
) -> OptimizeResult: ...
