"""Speaks the tensors of Triton's vLLM backend (triton-inference-server/vllm_backend, src/utils/request.py).

It says text.PIECES, one a token and then an end, or ticks without an end. The
file RUNNING in the model's folder tells how many requests are under way.
"""

import itertools
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

sys.path.insert(0, os.path.dirname(__file__))
from text import ENDLESS, PIECES, TICKS  # noqa: E402

# vLLM's own default is 16; here, all is said.
LIMIT = 100_000
DELAY = 0.0005
KNOWN = {"n", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "ignore_eos", "logprobs"}


class TritonPythonModel:
    def initialize(self, args):
        self.running = Path(__file__).parent / "RUNNING"
        self.lock, self.count = threading.Lock(), 0
        self.senders = []

    def execute(self, requests):
        for request in requests:
            sender = threading.Thread(target=self.serve, args=(request, request.get_response_sender()))
            sender.start()
            self.senders = [s for s in self.senders if s.is_alive()] + [sender]

    def serve(self, request, sender):
        self.note(+1)
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        try:
            for response, last in Generation(request).responses(sender):
                sender.send(response, flags=final if last else 0)
        except Exception as problem:
            error = pb_utils.TritonError(f"Error generating stream: {problem}")
            sender.send(pb_utils.InferenceResponse(error=error), flags=final)
        finally:
            self.note(-1)

    def note(self, change):
        with self.lock:
            self.count += change
            new = self.running.with_suffix(".new")
            new.write_text(str(self.count))
            new.replace(self.running)

    def finalize(self):
        for sender in self.senders:
            sender.join()


class Generation:
    def __init__(self, request):
        self.request = request
        self.prompt = str(self.read("text_input").decode())
        self.stream = bool(self.read("stream", False))
        excluded = self.read("exclude_input_in_output")
        self.prefixed = not excluded if excluded is not None else not self.stream
        if self.stream and self.prefixed:
            raise ValueError("When streaming, `exclude_input_in_output` = False is not allowed.")
        parameters = json.loads(self.read("sampling_parameters", request.parameters()) or "{}")
        if set(parameters) - KNOWN:
            raise AttributeError("'NoneType' object has no attribute 'lora_name'")
        self.limit = int(parameters.get("max_tokens") or LIMIT)
        stop = parameters.get("stop") or []
        self.stop = [stop] if isinstance(stop, str) else stop

    def read(self, name, default=None):
        tensor = pb_utils.get_input_tensor_by_name(self.request, name)
        return default if tensor is None else tensor.as_numpy().reshape(-1)[0]

    def tokens(self):
        """Each token's text, and the reason of the end with the last."""
        endless = self.prompt.endswith(ENDLESS)
        tokens = itertools.cycle(TICKS) if endless else iter([*PIECES, ""])
        for number, token in enumerate(tokens, 1):
            ended = not endless and number > len(PIECES)
            yield token, "stop" if ended else "length" if number == self.limit else None
            if ended or number == self.limit:
                return

    def steps(self):
        """The same, less a stop string and what follows it; what may be the beginning of one is kept back."""
        hold, held = max(map(len, self.stop), default=1) - 1, ""
        for token, reason in self.tokens():
            held += token
            found = min((held.find(stop) for stop in self.stop if stop in held), default=-1)
            if found >= 0:
                yield held[:found], "stop"
                return
            certain = len(held) if reason else max(0, len(held) - hold)
            yield held[:certain], reason
            held = held[certain:]

    def responses(self, sender):
        whole, count = self.prompt if self.prefixed else "", 0
        for text, reason in self.steps():
            time.sleep(DELAY)
            if sender.is_cancelled():
                error = pb_utils.TritonError("Request was cancelled", pb_utils.TritonError.CANCELLED)
                yield pb_utils.InferenceResponse(error=error), True
                return
            whole, count = whole + text, count + 1
            if self.stream:
                yield self.response(text, reason, 1), reason is not None
            elif reason:
                yield self.response(whole, reason, count), True

    def response(self, text, reason, count):
        """The outputs that were asked for; without logprobs among the parameters, they are null."""
        outputs = [strings("text_output", text)]
        more = {
            "finish_reason": lambda name: strings(name, str(reason)),
            "cumulative_logprob": lambda name: pb_utils.Tensor(name, np.zeros(1, np.float32)),
            "logprobs": lambda name: strings(name, "null"),
            "num_input_tokens": lambda name: number(name, len(self.prompt)),
            "num_output_tokens": lambda name: number(name, count),
        }
        outputs += [make(name) for name, make in more.items() if self.read(f"return_{name}", False)]
        return pb_utils.InferenceResponse(outputs)


def strings(name, text):
    return pb_utils.Tensor(name, np.array([text.encode()], dtype=np.object_))


def number(name, value):
    return pb_utils.Tensor(name, np.array([value], dtype=np.uint32))
