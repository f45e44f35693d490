"""What this machine keeps of a fleet: files and databases in its state folder."""
