"""What this machine keeps of runs: folders, the history, what waits."""
