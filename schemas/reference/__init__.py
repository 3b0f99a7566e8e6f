"""Reference data of the first edition: emission factors, regions and time-of-use tariffs, as data files."""
