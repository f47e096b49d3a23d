"""One answer for each element of IN, DELAY[i] milliseconds apart.

An empty IN gets no answer at all. The end is a flag of its own, without data.
execute returns after WAIT milliseconds, as in Triton's own repeat_int32.
"""

import threading
import time

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.senders = []

    def execute(self, requests):
        for request in requests:
            sender = threading.Thread(target=self.send, args=(request, request.get_response_sender()))
            sender.start()
            self.senders = [s for s in self.senders if s.is_alive()] + [sender]
            time.sleep(self.read(request, "WAIT")[0] / 1000)

    def send(self, request, sender):
        values, delays = self.read(request, "IN"), self.read(request, "DELAY")
        for index, value in enumerate(values):
            time.sleep(delays[index] / 1000)
            if sender.is_cancelled():
                break
            out = pb_utils.Tensor("OUT", np.array([value], dtype=np.int32))
            idx = pb_utils.Tensor("IDX", np.array([index], dtype=np.uint32))
            sender.send(pb_utils.InferenceResponse([out, idx]))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def read(self, request, name):
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy()

    def finalize(self):
        for sender in self.senders:
            sender.join()
