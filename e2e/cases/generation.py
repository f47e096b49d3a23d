"""Language models: the same requests to every server that has one.

A case takes a [Model]: where it is, what it is called, and how many requests
its server is at work on. What it asserts holds whatever the server is, for all
of them say llm.text.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable

from tritonclient.utils import InferenceServerException

from cases import case
from cases.streams import Answers
from cases.streams import stream as open_stream
from harness.door import Door
from harness.llamacpp import E2E
from harness.process import until
from harness.refusal import refused
from llm.client import final, inputs, text
from llm.text import ENDLESS, PIECES, TEXT, TICKS

PROMPT = "What is in the record?"
# Enough for all of the text and the token that ends it.
ALL = 200


@dataclass(frozen=True)
class Model:
    name: str
    door: Door
    running: Callable
    # A real Triton behind the gateway answers in its own words, and no ModelInfer.
    triton: bool = False
    # Nothing is between the client and the server.
    direct: bool = False

    @contextmanager
    def stream(self, **options):
        with open_stream(self.door, **options) as (client, answers):
            yield Stream(self, client, answers)

    def busy(self):
        """The server is at work; vLLM tells that a moment later."""
        until(lambda: self.running() == 1, "the server generates", seconds=1)

    def idle(self, seconds=1):
        """The server is at work on nothing, within a second of now."""
        until(lambda: self.running() == 0, "the server has stopped generating", seconds)


@dataclass(frozen=True)
class Stream:
    model: Model
    client: object
    answers: Answers

    def ask(self, prompt=PROMPT, id="1", model=None, request_parameters=None, **tensors):
        self.client.async_stream_infer(
            model or self.model.name, inputs(prompt, **tensors), request_id=id, parameters=request_parameters
        )

    def take(self, id="1"):
        """The answers to one request, its final one last."""
        taken = []
        while True:
            [answer] = self.answers.take(1)
            if isinstance(answer, InferenceServerException):
                raise answer
            assert answer.get_response().id == id
            taken.append(answer)
            if final(answer):
                return taken

    def refusal(self):
        """The next answer, which is an error."""
        [answer] = self.answers.take(1)
        assert isinstance(answer, InferenceServerException), answer.get_response()
        return answer


def reasons(answers):
    return [answer.as_numpy("finish_reason")[0].decode() for answer in answers]


def generated(answers):
    return sum(int(answer.as_numpy("num_output_tokens")[0]) for answer in answers)


@case
def the_whole_text(model):
    with model.stream() as stream:
        stream.ask(max_tokens=ALL)
        answers = stream.take()
    assert "".join(map(text, answers)) == TEXT
    # As it is made: a server may put some tokens into one answer, not many.
    assert len(answers) >= 40
    assert not any(map(final, answers[:-1]))
    assert set(reasons(answers[:-1])) == {"None"} and reasons(answers[-1:]) == ["stop"]
    assert generated(answers) == len(PIECES) + 1
    assert all(answer.get_response().model_name == model.name for answer in answers)


@case
def a_limit_of_tokens(model):
    with model.stream() as stream:
        for limit in (5, "5"):
            stream.ask(max_tokens=limit, temperature="0")
            answers = stream.take()
            assert "".join(map(text, answers)) == "".join(PIECES[:5])
            assert reasons(answers)[-1] == "length" and generated(answers) == 5
            assert answers[-1].as_numpy("num_input_tokens").reshape(-1)[0] > 0


@case
def tokens_by_default(model):
    # As many as vLLM makes, and so its backend in Triton, for which ours stands in.
    if model.triton:
        return
    with model.stream() as stream:
        stream.ask()
        assert "".join(map(text, stream.take())) == "".join(PIECES[:16])


@case
def sampling_parameters_of_the_request(model):
    with model.stream() as stream:
        stream.ask(request_parameters={"max_tokens": 3, "temperature": "0"})
        assert "".join(map(text, stream.take())) == "".join(PIECES[:3])


@case
def only_what_is_asked_for(model):
    with model.stream() as stream:
        stream.ask(returns=(), max_tokens=2)
        names = [{output.name for output in answer.get_response().outputs} for answer in stream.take()]
        assert all(some == {"text_output"} for some in names)


@case
def not_streamed(model):
    with model.stream() as stream:
        for exclude, before in ((True, ""), (False, PROMPT), (None, PROMPT)):
            stream.ask(stream=False, exclude=exclude, max_tokens=ALL)
            [answer] = stream.take()
            assert text(answer) == before + TEXT
            assert reasons([answer]) == ["stop"] and generated([answer]) == len(PIECES) + 1


@case
def a_stop_string(model):
    stop = "the card"
    assert not any(stop in piece for piece in PIECES)
    with model.stream() as stream:
        stream.ask(max_tokens=ALL, stop=[stop])
        answers = stream.take()
    assert "".join(map(text, answers)) == TEXT[: TEXT.index(stop)]
    assert reasons(answers)[-1] == "stop"


@case
def requests_at_a_time(model):
    ids = ["a", "b", "c"]
    limits = dict(zip(ids, (ALL, 7, 30)))
    with model.stream() as stream:
        for id in ids:
            stream.ask(id=id, max_tokens=limits[id])
        texts, ended = defaultdict(str), set()
        while ended != set(ids):
            [answer] = stream.answers.take(1)
            id = answer.get_response().id
            texts[id] += text(answer)
            ended |= {id} if final(answer) else set()
    assert texts == {id: "".join(PIECES[: limits[id]]) for id in ids}


@case
def mistakes_do_not_end_the_stream(model):
    # Triton's own backend fails with an error of Python's, which names nothing.
    named = not model.triton
    with model.stream() as stream:
        stream.ask(id="key", max_token=5)
        message = stream.refusal().message()
        assert "max_token" in message if named else "NoneType" in message
        stream.ask(id="type", max_tokens="many")
        message = stream.refusal().message()
        assert "max_tokens" in message if named else message
        stream.ask(id="prompt", exclude=False, max_tokens=5)
        assert "exclude_input_in_output" in stream.refusal().message()
        stream.ask(id="good", max_tokens=1)
        assert text(stream.take("good")[0]) == PIECES[0]


@case
def an_unknown_model(model):
    with model.stream() as stream:
        stream.ask(model="no-such-model", id="unknown")
        assert "no-such-model" in stream.refusal().message()
        stream.ask(id="good", max_tokens=1)
        assert text(stream.take("good")[0]) == PIECES[0]


@case
def cancelled(model):
    with model.stream() as stream:
        stream.ask(PROMPT + ENDLESS, max_tokens=4000)
        first = stream.answers.take(3)
        assert "".join(map(text, first)).startswith(TICKS[0])
        model.busy()
        stream.client.stop_stream(cancel_requests=True)
        model.idle()


@case
def a_client_that_is_gone(model):
    # A program that is killed says nothing; its connections close.
    argv = [sys.executable, "-m", "llm.client", model.door.address, model.name, PROMPT + ENDLESS]
    token = model.door.headers.get("authorization", " ").split(" ", 1)[1]
    with subprocess.Popen(argv, cwd=E2E, env={**os.environ, "TOKEN": token}, stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout.read(20).decode().startswith(TICKS[0])
            model.busy()
        finally:
            program.kill()
    model.idle()


@case
def past_its_deadline(model):
    begun = time.monotonic()
    with model.stream(stream_timeout=0.5) as stream:
        stream.ask(PROMPT + ENDLESS, max_tokens=4000)
        answer = None
        while not isinstance(answer, InferenceServerException):
            [answer] = stream.answers.take(1)
        assert answer.status() == "StatusCode.DEADLINE_EXCEEDED", answer
        assert time.monotonic() - begun < 2
        model.idle()


@case
def described(model):
    with model.door.client() as client:
        assert client.is_model_ready(model.name)
        assert not client.is_model_ready("no-such-model")
        metadata = client.get_model_metadata(model.name)
        assert {"text_input", "stream", "sampling_parameters"} <= {tensor.name for tensor in metadata.inputs}
        assert {"text_output", "finish_reason", "num_output_tokens"} <= {tensor.name for tensor in metadata.outputs}
        config = client.get_model_config(model.name).config
        assert config.model_transaction_policy.decoupled and config.max_batch_size == 0
        assert model.triton or config.backend == "vllm"
        rows = {row.name: row.state for row in client.get_model_repository_index().models}
        assert rows[model.name] == "READY"


@case
def counted(model):
    with model.door.client() as client, model.stream() as stream:
        before = client.get_inference_statistics(model.name).model_stats[0].inference_count
        stream.ask(max_tokens=1)
        stream.take()
        # Triton counts after it has answered.
        until(
            lambda: client.get_inference_statistics(model.name).model_stats[0].inference_count == before + 1,
            "the request is counted",
            seconds=5,
        )


@case
def another_model_by_a_parameter(model):
    # An adapter is a model, and who may ask for it is asked of its name.
    with model.stream() as stream:
        stream.ask(lora_name="secret-adapter", max_tokens=2)
        assert stream.refusal().message()
        stream.ask(id="good", max_tokens=1)
        assert text(stream.take("good")[0]) == PIECES[0]


@case
def in_one_call(model):
    """ModelInfer: what Triton refuses to a decoupled model, the others answer."""
    with model.door.client() as client:
        asked = inputs(PROMPT, stream=False, exclude=True, max_tokens=5)
        if model.triton:
            assert "decoupled" in refused("UNIMPLEMENTED", client.infer, model.name, asked)
            return
        assert text(client.infer(model.name, asked, request_id="1")) == "".join(PIECES[:5])
        assert "decoupled" in refused("UNIMPLEMENTED", client.infer, model.name, inputs(PROMPT, max_tokens=5))
