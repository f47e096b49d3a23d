"""Sums up each sequence's inputs: the answer is the sum so far."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        # The direct strategy keeps a sequence on its place in the batch, and
        # fills places that have nothing to do with READY = 0.
        return [self.answer(place, request) for place, request in enumerate(requests)]

    def answer(self, place, request):
        if self.read(request, "START"):
            self.sums[place] = 0
        if self.read(request, "READY"):
            self.sums[place] += self.read(request, "INPUT")
        total = np.array([[self.sums.get(place, 0)]], dtype=np.int32)
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", total)])

    def read(self, request, name):
        return int(pb_utils.get_input_tensor_by_name(request, name).as_numpy().flat[0])
