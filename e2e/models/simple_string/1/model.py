"""Add and subtract of integers written as BYTES."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        left = self.read(request, "INPUT0")
        right = self.read(request, "INPUT1")
        return pb_utils.InferenceResponse([self.write("OUTPUT0", left + right), self.write("OUTPUT1", left - right)])

    def read(self, request, name):
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy().astype(int)

    def write(self, name, values):
        return pb_utils.Tensor(name, values.astype(str).astype(np.object_))
