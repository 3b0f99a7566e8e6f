"""What `wattloop doctor` looks at: the broker, its topics, the history store, clocks and disk."""
