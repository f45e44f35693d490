"""``python -m orchestrator``: the command, whatever the PATH is."""

from orchestrator.cli.main import main

main()
