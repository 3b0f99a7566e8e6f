"""The job in other frameworks, one file each, written as their documentation teaches."""
