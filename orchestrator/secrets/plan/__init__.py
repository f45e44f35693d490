"""What is wrong with a repository's secrets: pure checks of what was found out."""
