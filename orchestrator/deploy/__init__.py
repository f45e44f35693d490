"""One run: every host is brought to a proven state, or left or rolled back to what it ran."""
