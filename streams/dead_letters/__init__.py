"""Dead letters as a tool: reading, choosing, sending again and deleting what was refused."""
