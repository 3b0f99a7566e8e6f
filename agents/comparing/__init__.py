"""Comparing: a site beside its own past, as if the weather and the production had been the same."""
