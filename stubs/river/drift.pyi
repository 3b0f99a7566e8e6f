class PageHinkley:
    def __init__(
        self,
        min_instances: int = 30,
        delta: float = 0.005,
        threshold: float = 50.0,
        alpha: float = 0.9999,
        mode: str = "both",
    ) -> None: ...
    def update(self, x: float) -> None: ...
    @property
    def drift_detected(self) -> bool: ...
