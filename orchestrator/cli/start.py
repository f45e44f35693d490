"""The program ``orchestrator``: what comes before the first import, and after the last line.

A deployment of hosts that are at their target takes a tenth of a second. Half as much again would
go into compiling modules that were compiled before, and into taking down what is done with.
"""

from __future__ import annotations

# Nothing more than what Python itself has loaded: whoever interrupts that is told nothing of it.
import gc
import os
import sys


def start() -> None:
    """Run the command line of this process, and end the process.

    Raises:
        SystemExit: With its exit code, where the interpreter is to end the process.
    """
    # Most of what a command makes, modules first of all, it keeps to its end: to look through it
    # again and again (the default is each 700 objects) was a tenth of a run over 1,000 hosts.
    # What is made before the event loop runs, modules and the fleet, is none: `console.run`.
    gc.set_threshold(50_000, 20, 20)
    gc.disable()
    try:
        _run()
    except KeyboardInterrupt:  # while modules were being imported, or at the very end
        _leave(130)
        sys.exit(130)


def _run() -> None:
    _open_what_is_closed()
    from orchestrator.cli import bytecode

    bytecode.keep(__spec__.cached)
    from orchestrator.cli.main import main

    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            _leave(end.code)
        raise


def _open_what_is_closed() -> None:
    """Have standard streams: a file or a host's connection would be written into in their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest one that is free: this one's
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _leave(code: int) -> None:
    """End the process at once; return where the interpreter has something to do yet.

    It would wait for threads, tell a tracer, and say in the exit code that what was written to
    standard output did not arrive. All else that it does is to take down each module and object.
    """
    if len(sys._current_frames()) > 1 or sys.gettrace() or sys.getprofile():
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # it is full, it is closed
        return
    os._exit(code)
