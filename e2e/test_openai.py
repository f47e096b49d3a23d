"""OpenAI's own client, with nothing changed but its base URL and its key, against `sluice demo`."""

import os
import re
import subprocess

import openai
import pytest

from harness.sluice import BINARY

SECRETS = ("jane.doe@example.com", "4111 1111 1111 1111", "536-90-4399")
QUESTION = [{"role": "user", "content": "what do we know?"}]


@pytest.fixture(scope="module")
def client(demo):
    """The client of one of the people; a stranger's key is no token."""

    def make(name):
        key = demo.token(name) if name else "no-token"
        return openai.OpenAI(base_url=f"http://{demo.rest}/v1", api_key=key, max_retries=0, timeout=60)

    return make


def check(text, name):
    """bob reads it masked, dana clear."""
    for secret in SECRETS:
        assert (secret in text) == (name == "dana")
    assert ("[EMAIL]" in text and "[CARD]" in text and "[SSN]" in text) == (name == "bob")
    assert text.startswith("Thank you for calling.") and text.endswith("like me to change?")


@pytest.mark.parametrize("name", ["bob", "dana"])
def test_chat(client, name):
    answer = client(name).chat.completions.create(model="tokens", messages=QUESTION)
    assert answer.object == "chat.completion" and answer.model == "tokens"
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens >= 40
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    check(answer.choices[0].message.content, name)


@pytest.mark.parametrize("name", ["bob", "dana"])
def test_streamed_chat(client, name):
    text, reasons, usage, chunks = "", [], None, 0
    stream = client(name).chat.completions.create(
        model="tokens", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        assert chunk.object == "chat.completion.chunk"
        chunks, usage = chunks + 1, chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert chunks >= 40 and reasons == ["stop"] and usage.completion_tokens >= 40
    check(text, name)


@pytest.mark.parametrize("name", ["bob", "dana"])
def test_completions(client, name):
    answer = client(name).completions.create(model="tokens", prompt="go on", max_tokens=1000, temperature=0, seed=7)
    assert answer.choices[0].finish_reason == "stop"
    check(answer.choices[0].text, name)
    stream = client(name).completions.create(model="tokens", prompt="go on", max_tokens=1000, stream=True)
    check("".join(chunk.choices[0].text for chunk in stream), name)


def test_the_limit_is_kept(client):
    answer = client("bob").chat.completions.create(model="tokens", messages=QUESTION, max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 2
    stream = client("bob").chat.completions.create(model="tokens", messages=QUESTION, max_tokens=2, stream=True)
    assert [c.choices[0].finish_reason for c in stream if c.choices][-1] == "length"


def test_a_conversation_goes_on(client):
    """What the client was answered, it sends back."""
    first = client("dana").chat.completions.create(model="tokens", messages=QUESTION, max_tokens=2)
    messages = [*QUESTION, first.choices[0].message, {"role": "user", "content": [{"type": "text", "text": "and?"}]}]
    answer = client("dana").chat.completions.create(model="tokens", messages=messages, max_tokens=2)
    assert answer.choices[0].message.content


def test_models(client):
    assert [m.id for m in client("bob").models.list()] == ["tokens"]
    assert client("bob").models.retrieve("tokens").id == "tokens"
    for name in ("simple", "meta-llama/Llama-3"):
        with pytest.raises(openai.NotFoundError):
            client("bob").models.retrieve(name)


@pytest.mark.parametrize("stream", [False, True])
def test_refusals(client, stream):
    def ask(name, **changes):
        request = {"model": "tokens", "messages": QUESTION, "stream": stream, **changes}
        return client(name).chat.completions.create(**request)

    with pytest.raises(openai.AuthenticationError):
        ask(None)
    with pytest.raises(openai.PermissionDeniedError) as refused:
        ask("ci")
    assert refused.value.code == "NO_ROLE_ALLOWS" and "tokens" in refused.value.message
    with pytest.raises(openai.NotFoundError) as refused:
        ask("bob", model="nobody")
    assert refused.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        ask("bob", model="simple")
    assert refused.value.param == "model"
    with pytest.raises(openai.BadRequestError) as refused:
        ask("bob", tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])
    assert refused.value.param == "tools"
    with pytest.raises(openai.BadRequestError) as refused:
        ask("bob", extra_body={"nonsense": 1})
    assert "nonsense" in refused.value.message


def test_a_stream_that_is_left_ends(client, demo):
    """The gateway goes on serving others when a client breaks off."""
    with client("bob").chat.completions.create(model="tokens", messages=QUESTION, stream=True) as stream:
        next(iter(stream))
    test_the_limit_is_kept(client)


def test_no_embeddings(client):
    with pytest.raises(openai.BadRequestError):
        client("bob").embeddings.create(model="tokens", input="hello")


PAGE = BINARY.parent.parent / "docs" / "OPENAI.md"
COMMANDS = re.findall(r"<!-- test:demo -->\n```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("script", COMMANDS, ids=["docs/OPENAI.md"])
def test_the_page_is_true(script, demo):
    script = script.replace("127.0.0.1:8000", demo.rest).replace("token bob", f"token bob --issuer {demo.issuer}")
    path = f"{BINARY.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert '"id":"tokens"' in done.stdout and "[EMAIL]" in done.stdout and done.stdout.endswith("data: [DONE]\n\n")
