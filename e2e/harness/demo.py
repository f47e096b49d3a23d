"""`sluice demo`, as a visitor starts it, on ports of its own."""

import signal

from .door import Door
from .process import Process, accepts, free_address
from .sluice import BINARY, command


class Demo:
    def __init__(self, folder, **flags):
        self.folder = folder
        self.address, self.issuer = free_address(), free_address()
        listeners = {"grpc": self.address, "issuer": self.issuer}
        self.rest, self.console = free_address(), free_address()
        listeners |= {"rest": self.rest, "metrics": free_address(), "console": self.console}
        self.argv = [BINARY, "demo"]
        for name, value in {**listeners, **flags}.items():
            self.argv += [f"--{name}", value]
        self.process = None

    def start(self):
        self.process = Process("sluice demo", self.argv, self.folder / "demo.log")
        self.process.wait_for(lambda: accepts(self.address) and accepts(self.issuer), seconds=30)
        return self

    def stop(self):
        if self.process:
            code = self.process.stop(signal.SIGINT)
            assert code == 0, f"sluice demo ended with {code}:\n{self.process.tail()}"

    def token(self, name):
        answer = command("demo", "token", name, "--issuer", self.issuer)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.count("\n") == 1, "a token and nothing else"
        return answer.stdout.strip()

    def sluice(self, name, *words):
        """Runs the sluice command line against the demo as one of its people."""
        return command(
            *words,
            env={
                "SLUICE_SERVER": f"http://{self.console}",
                "SLUICE_TOKEN": self.token(name),
                "SLUICE_KEYRING": "off",
                "XDG_CONFIG_HOME": str(self.folder / "config"),
            },
        )

    def door(self):
        return Door("demo", self.address)
