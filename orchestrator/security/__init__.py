"""What is on hosts that nobody declared: asked of them, held against their configuration."""
