"""A program that was written for Triton's vLLM backend, with an unchanged tritonclient.

    TOKEN=... python -m llm.client ADDRESS MODEL PROMPT

It writes the text as it comes, and then, to stderr, why it ended and how many
tokens there were. Nothing in it knows what server has the model.
"""

import json
import os
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

COUNTS = ("finish_reason", "num_input_tokens", "num_output_tokens")


def tensor(name, value):
    array = np.array([value], dtype=bool if isinstance(value, bool) else np.object_)
    made = triton.InferInput(name, [1], np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array)
    return made


def inputs(prompt, stream=True, returns=COUNTS, exclude=None, **sampling):
    """The tensors of a request; sampling goes as JSON text."""
    made = [tensor("text_input", prompt.encode()), tensor("stream", stream)]
    if sampling:
        made.append(tensor("sampling_parameters", json.dumps(sampling).encode()))
    if exclude is not None:
        made.append(tensor("exclude_input_in_output", exclude))
    return made + [tensor(f"return_{name}", True) for name in returns]


def text(answer):
    """The text of the first sequence."""
    return answer.as_numpy("text_output").reshape(-1)[0].decode()


def final(answer):
    return answer.get_response().parameters["triton_final_response"].bool_param


def say(address, model, prompt, headers, out, **sampling):
    """Streams an answer to out, and returns its finish reason and numbers of tokens."""
    answers = queue.Queue()
    with triton.InferenceServerClient(address) as client:
        client.start_stream(lambda result, error: answers.put(error or result), headers=headers, stream_timeout=60)
        client.async_stream_infer(model, inputs(prompt, **sampling))
        generated = 0
        while True:
            answer = answers.get(timeout=60)
            if isinstance(answer, Exception):
                raise answer
            out.write(text(answer))
            out.flush()
            generated += int(answer.as_numpy("num_output_tokens")[0])
            if final(answer):
                break
        reason = answer.as_numpy("finish_reason")[0].decode()
        return reason, int(answer.as_numpy("num_input_tokens").reshape(-1)[0]), generated


if __name__ == "__main__":
    shown = {"authorization": f"Bearer {os.environ['TOKEN']}"}
    print(*say(*sys.argv[1:4], shown, sys.stdout, max_tokens=4000, temperature=0), file=sys.stderr)
