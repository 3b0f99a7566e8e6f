"""Equipment left on, surges in dear hours, creeping stand-by, peak shares: found by what each meter did before."""
