"""What is asked and done on a host, over whichever way it is reached; its guard."""
