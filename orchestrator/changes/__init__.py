"""What hosts should run: evaluated where it must be, known where it can be."""
