"""What operators ask a running worker over HTTP."""
