"""BEFORE good answers, then an error, then the end as a flag of its own.

With a little time between them, so that the stream's answers are those of one
request after the other.
"""

import time

import numpy as np
import triton_python_backend_utils as pb_utils

PAUSE = 0.02


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            self.answer(request, request.get_response_sender())

    def answer(self, request, sender):
        before = int(pb_utils.get_input_tensor_by_name(request, "BEFORE").as_numpy()[0])
        for value in range(before):
            out = pb_utils.Tensor("OUT", np.array([value], dtype=np.int32))
            sender.send(pb_utils.InferenceResponse([out]))
            time.sleep(PAUSE)
        error = pb_utils.TritonError("the model said no in the middle", pb_utils.TritonError.INVALID_ARG)
        sender.send(pb_utils.InferenceResponse(error=error))
        time.sleep(PAUSE)
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
