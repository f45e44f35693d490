"""What is known of a fleet's secrets: never a plaintext, never a private key."""
