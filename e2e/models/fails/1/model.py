"""Fails with the TritonError code that KIND names."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        kind = pb_utils.get_input_tensor_by_name(request, "KIND").as_numpy()[0].decode()
        code = getattr(pb_utils.TritonError, kind)
        return pb_utils.InferenceResponse(error=pb_utils.TritonError("the model said no: " + kind, code))
