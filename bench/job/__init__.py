"""One job, timed as whole processes: Wattloop as shipped, and peers written as their documentation teaches."""
