"""Waves: whose turn it is, who leads, and what a person says from another terminal."""
