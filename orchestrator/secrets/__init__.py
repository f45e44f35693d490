"""What is done with secrets: proved, listed, written."""
