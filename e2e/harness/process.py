"""Server processes: started, waited for, and ended by the fixture that made them."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_port():
    """A TCP port of the loopback that nothing listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return listener.getsockname()[1]


def free_address():
    return f"{LOOPBACK}:{free_port()}"


def until(condition, what, seconds=30.0, every=0.02):
    """Waits for condition() to be true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


class Process:
    """One server process, in a session of its own, its output in a log file."""

    def __init__(self, name, argv, log, env=None, cwd=None):
        self.name = name
        self.log = Path(log)
        # Should pytest itself be killed, its servers go with it.
        reaper = shutil.which("setpriv")
        prefix = [reaper, "--pdeathsig", "KILL"] if reaper else []
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                [*prefix, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def wait_for(self, ready, seconds):
        """Waits until ready() is true; a process that ends before is a failure."""

        def ready_or_dead():
            if not self.alive():
                raise AssertionError(f"{self.name} ended with {self.child.returncode}:\n{self.tail()}")
            return ready()

        try:
            until(ready_or_dead, f"{self.name} is ready", seconds, every=0.05)
        except BaseException as problem:
            problem.add_note(f"log of {self.name}:\n{self.tail()}")
            self.kill()
            raise

    def stop(self, with_signal=signal.SIGTERM, grace=15):
        """Asks the process to end, and makes it. Returns its exit code."""
        if self.alive():
            self.child.send_signal(with_signal)
            try:
                self.child.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        return self.child.returncode

    def kill(self):
        """Ends the process and whatever it started, at once."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait(10)

    def pause(self):
        """Leaves the process alive and its sockets open, but answering nothing."""
        self.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.child.send_signal(signal.SIGCONT)

    def peak(self):
        """The most bytes of memory that the process has held so far."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.name} has no VmHWM")

    def tail(self, lines=40):
        return "\n".join(self.text().splitlines()[-lines:])

    def text(self):
        return self.log.read_text(errors="replace")


def accepts(address):
    """Whether something accepts connections at host:port."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
