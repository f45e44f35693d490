"""From a derivation to a system that is on its host: built for all at once, copied or fetched."""
