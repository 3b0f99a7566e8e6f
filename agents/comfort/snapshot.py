"""What a controller has learnt, as bytes: arrays by name, and nothing that runs when it is read."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_VERSION = 1
_ABOUT = "about"

Arrays = dict[str, npt.NDArray[Any]]


def to_bytes(arrays: Arrays, about: Mapping[str, object]) -> bytes:
    """Pack arrays whose last axis is zones, and what is known about them.

    Examples
    --------
    >>> packed = to_bytes({"air_c": np.array([21.0])}, {"zones": ["a"]})
    >>> arrays, about = from_bytes(packed)
    >>> arrays["air_c"].tolist(), about["zones"]
    ([21.0], ['a'])
    """
    text = json.dumps({"version": _VERSION, **about}).encode()
    packed = io.BytesIO()
    head = np.frombuffer(text, dtype=np.uint8)
    np.savez_compressed(packed, allow_pickle=False, **{_ABOUT: head}, **arrays)
    return packed.getvalue()


def from_bytes(packed: bytes) -> tuple[Arrays, dict[str, Any]]:
    """Unpack what `to_bytes` made.

    Raises
    ------
    ValueError
        If it is something else, or of another version.
    """
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        about = json.loads(arrays.pop(_ABOUT).tobytes())
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"not a snapshot of a comfort controller: {error}") from error
    if about.get("version") != _VERSION:
        raise ValueError(f"snapshot of version {about.get('version')!r}, expected {_VERSION}")
    return arrays, about
