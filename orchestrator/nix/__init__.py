"""One file or folder for each outside system; each translates its failures once."""
