"""Accounting: segments that every station writes, and the proof that they agree with what is stored."""
