"""The commands that prove and manage secrets."""
