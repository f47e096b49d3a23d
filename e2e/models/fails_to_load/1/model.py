"""Cannot be loaded."""


class TritonPythonModel:
    def initialize(self, args):
        raise RuntimeError("this model does not load")

    def execute(self, requests):
        return []
