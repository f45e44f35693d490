"""The command line: options become one request, the engine is called once, an exit code returns."""
