from bacpypes3.local.object import Object

class DeviceObject(Object):
    def __init__(
        self,
        *,
        objectIdentifier: tuple[str, int],
        objectName: str,
        vendorIdentifier: int,
        apduTimeout: int = ...,
        numberOfApduRetries: int = ...,
    ) -> None: ...
