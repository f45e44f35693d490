"""The age file format, and the library and the program that speak it."""
