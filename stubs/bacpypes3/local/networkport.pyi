from bacpypes3.local.object import Object

class NetworkPortObject(Object):
    def __init__(self, addr: str, *, objectIdentifier: tuple[str, int], objectName: str) -> None: ...
