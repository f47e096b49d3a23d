"""Sleeps as long as it is asked to, unless the request is cancelled.

CANCELLED tells how many earlier requests were; the count begins anew when the
model is loaded.
"""

import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.cancelled = 0

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        asked = int(pb_utils.get_input_tensor_by_name(request, "MILLISECONDS").as_numpy()[0])
        end = time.monotonic() + asked / 1000
        while time.monotonic() < end:
            if request.is_cancelled():
                self.cancelled += 1
                error = pb_utils.TritonError("cancelled", pb_utils.TritonError.CANCELLED)
                return pb_utils.InferenceResponse(error=error)
            time.sleep(0.01)
        return pb_utils.InferenceResponse([self.number("SLEPT", asked), self.number("CANCELLED", self.cancelled)])

    def number(self, name, value):
        return pb_utils.Tensor(name, np.array([value], dtype=np.int32))
