"""Advice: what a site could do, what it would save in a year, and whether it did. Pure."""
