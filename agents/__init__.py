"""The thinking of Wattloop, one folder per concern: pure, no I/O, no clock."""
