"""Answers with the parameters that its request arrived with.

They include the metadata that Triton was told to forward.
"""

import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        seen = json.dumps(json.loads(request.parameters()), sort_keys=True)
        text = np.array([seen.encode()], dtype=np.object_)
        return pb_utils.InferenceResponse([pb_utils.Tensor("JSON", text)])
