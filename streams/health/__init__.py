"""Whether a worker makes progress, and whether the world around it lets it: what `/livez` and `/readyz` answer."""
