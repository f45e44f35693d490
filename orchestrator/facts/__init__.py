"""What machines are made of: asked, kept, compared, and used to select hosts."""
