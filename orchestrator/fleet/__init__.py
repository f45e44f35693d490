"""The commands that look, check and tidy; each file is one."""
