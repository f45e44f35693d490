"""What hosts answered, drawn."""
