"""What a host's answer says, held against what is declared: pure."""
