"""Billing: 15-minute demand, and the running bill of a site."""
