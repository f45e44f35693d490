"""What risk is made of, how much of it is too much: pure."""
