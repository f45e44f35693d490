"""A host that makes no sense: what it sends is no SSH, and asyncssh raises what comes to it."""

from __future__ import annotations

import sys

from orchestrator.ssh.lean import asyncssh


def why(error: BaseException) -> str:
    """What an error says; of one that asyncssh did not foresee, whose fault it is."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError | asyncssh.Error):
        return text
    if isinstance(error, UnicodeError) and not isinstance(error, UnicodeDecodeError):
        return f"it is no host's name ({text})"  # of the address, before anybody is asked
    return f"it speaks no proper SSH ({text})"


def foresee_all(connection: asyncssh.SSHClientConnection) -> None:
    """Have whatever ends a connection be an error of the connection.

    asyncssh raises a ``ValueError`` and the like of a packet that is malformed, before the login
    and after it, in whoever waits for the host.
    """
    end = connection.internal_error

    def internal_error(exc_info: object = None, error_logger: object = None) -> None:
        error = (exc_info if isinstance(exc_info, tuple) else sys.exc_info())[1]
        if isinstance(error, Exception) and not isinstance(error, OSError | asyncssh.Error):
            told = asyncssh.ProtocolError(why(error))
            told.__cause__ = error
            exc_info = (type(told), told, error.__traceback__)
        end(exc_info, error_logger)  # type: ignore[arg-type]

    connection.internal_error = internal_error  # type: ignore[method-assign]
