import numpy as np
import numpy.typing as npt

def stdtrit(df: npt.NDArray[np.float64], p: float) -> npt.NDArray[np.float64]: ...
