from collections.abc import Sequence
from typing import Self

from bacpypes3.local.object import Object
from bacpypes3.pdu import Address
from bacpypes3.primitivedata import Null, Real

class Application:
    @classmethod
    def from_object_list(cls, objects: Sequence[Object]) -> Self: ...
    def close(self) -> None: ...
    async def read_property(self, address: Address, objid: str, prop: str) -> object: ...
    async def write_property(
        self, address: Address, objid: str, prop: str, value: Real | Null, *, priority: int
    ) -> object: ...
