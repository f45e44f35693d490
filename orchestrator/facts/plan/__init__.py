"""What an answer means: pure, and of any answer."""
