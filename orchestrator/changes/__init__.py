"""What hosts should run: evaluated where it must be, known where nothing that it reads changed."""
