"""Comfort: learns when people are in and how fast a zone follows, and says which set-points to use. Pure."""
