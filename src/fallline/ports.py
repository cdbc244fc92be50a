"""A port to serve at, bound before anybody is told its address."""

from __future__ import annotations

import socket

from fallline.errors import ParameterError


def bound(host: str, port: int, backlog: int) -> tuple[socket.socket, str]:
    """Bind and listen, so that whoever reads the address gets in.

    Parameters
    ----------
    host : str
    port : int
        0: any that is free.
    backlog : int
        Connections that may wait.

    Returns
    -------
    socket.socket
    str
        The address, `http://host:port/`.

    Raises
    ------
    ParameterError
        The port is taken, or the host is not this machine's.
    """
    is_v6 = ":" in host
    listening = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise ParameterError(f"cannot serve at {host}, port {port}: {error.strerror or error}") from None
    return listening, f"http://{f'[{host}]' if is_v6 else host}:{listening.getsockname()[1]}/"
