modeldir: str
weatherdir: str
