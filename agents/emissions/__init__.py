"""Emissions: every closed window becomes the carbon it caused and the money it cost."""
