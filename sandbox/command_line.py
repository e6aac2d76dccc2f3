"""What the commands have in common: ports, signals, and serving until somebody stops it."""

import argparse
import errno
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from wsgiref.types import WSGIApplication

from sandbox.web import Server


class CannotStart(Exception):
    """A sentence for the person who typed the command."""


def parser(module: str, description: str, port: int) -> argparse.ArgumentParser:
    """The options that each stand-in has. port: taken where none is asked for."""
    made = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    made.add_argument(
        "--port",
        type=_port,
        default=port,
        help="port to listen on; 0 takes any that is free (default: %(default)s)",
    )
    made.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 lets other machines in (default: %(default)s)",
    )
    return made


def _port(text: str) -> int:
    number = port_number(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 65535")
    return number


def port_number(text: str) -> int | None:
    """None for a text that is no port."""
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    return None


def check_port(port: int, host: str, advice: str) -> None:
    """Raises CannotStart, with the advice, where nobody can listen."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                problem = f"Port {port} is not free ({error.strerror}). {advice}"
            else:
                problem = f"{host} is no address of this machine ({error.strerror})."
            raise CannotStart(problem) from error


def stop_signals() -> threading.Event:
    """Set by Ctrl-C, SIGTERM and a closed terminal.

    An event, not an exception, which could fall between a process' start and the note to end it.
    """
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return stopped


def serve(
    app: WSGIApplication,
    options: argparse.Namespace,
    welcome: Callable[[str], str],
    ready: Callable[[], None] = lambda: None,
) -> int:
    """Serve a stand-in until a signal ends it; returns the status of the process.

    options: what `parser` read. welcome: what to print, given the address. ready: called before
    the address is taken; raises CannotStart where the stand-in can't do its work.
    """
    stopped = stop_signals()
    try:
        ready()
        check_port(options.port, options.host, "Take another: --port 0 finds one.")
        server = Server(app, options.port, options.host)
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return 1
    with server:
        print(welcome(server.url), flush=True)
        stopped.wait()
    return 0
