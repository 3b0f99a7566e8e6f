"""What energy costs and causes: tariffs, prices and emission factors. Several agents compute with it; it is none."""
