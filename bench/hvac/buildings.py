"""The buildings of the bench: models and weather that come with the package, or any other pair."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.hvac.weather import Window

_CHICAGO = "USA_IL_Chicago-OHare.Intl.AP.725300_TMY3.epw"
_DENVER = "USA_CO_Denver-Aurora-Buckley.AFB.724695_TMY3.epw"
_SHIPPED = {
    "office": ("RefBldgSmallOfficeNew2004_Chicago.idf", _CHICAGO),
    "warehouse": ("ASHRAE901_Warehouse_STD2019_Denver.idf", _DENVER),
    "retail": ("ASHRAE901_RetailStandalone_STD2019_Denver.idf", _DENVER),
}
BUILDINGS = tuple(_SHIPPED)
_RECORDING = 1  # changes when recordings of the same inputs would differ


@dataclass(frozen=True, slots=True)
class Building:
    """A model and the weather it stands in."""

    name: str
    idf: Path
    epw: Path

    def key(self, window: Window) -> str:
        """Return a name for the recording of the own schedule, which differs when any input of it does."""
        parts = [self.idf.read_bytes(), self.epw.read_bytes(), repr((_RECORDING, window)).encode()]
        digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts))
        return f"{self.name}-{window.name}-{digest.hexdigest()[:16]}"


def shipped(name: str) -> Building:
    """Return a building that comes with the package.

    Raises
    ------
    ValueError
        If there is none of this name.
    ModuleNotFoundError
        If the package is not installed.
    """
    if name not in _SHIPPED:
        raise ValueError(f"building {name!r}: expected one of {', '.join(_SHIPPED)}")
    found = find_spec("pyenergyplus")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("pyenergyplus is not installed: pip install -e '.[hvac]'")
    data = Path(found.origin).parent / "data"
    idf, epw = _SHIPPED[name]
    return Building(name, data / "model" / idf, data / "weather" / epw)
