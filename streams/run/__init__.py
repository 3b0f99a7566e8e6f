"""`wattloop run`: broker, worker, replay and screen in one command."""
