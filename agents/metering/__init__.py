"""Metering: readings become the energy of fixed windows."""
