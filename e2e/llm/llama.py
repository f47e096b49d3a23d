"""A Llama whose weights are a table: after a prompt it says llm.text's pieces, one a token.

Embeddings are one-hot, attention and feed-forward add nothing, and the output
matrix has, for each token, one in its successor's row. The successor's logit is
so far above all others that no temperature changes what is said.
"""

from dataclasses import dataclass, field

import numpy as np

from llm.text import ENDLESS, PIECES, TICKS

UNKNOWN, BEGIN, END = 0, 1, 2
CONTROL = ("<unk>", "<s>", "</s>")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

# As small as vLLM's attention on a CPU takes it: heads of 64.
WIDTH, HEADS, HEAD, FEED = 512, 8, 64, 32
# The highest logit is this times the root of WIDTH.
CERTAINTY = 2.0

CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


@dataclass
class Llama:
    layers: int = 1
    vocabulary: list = field(default_factory=lambda: [*CONTROL, *BYTES, *PIECES, *TICKS, ENDLESS])

    def successors(self):
        """For each token, the one that follows; a prompt's end is followed by the text's beginning."""
        number = {piece: token for token, piece in enumerate(self.vocabulary)}
        text = [number[piece] for piece in PIECES]
        ticks = [number[piece] for piece in TICKS]
        follows = np.full(len(self.vocabulary), text[0])
        follows[text] = [*text[1:], END]
        follows[number[ENDLESS]] = ticks[0]
        follows[ticks] = [*ticks[1:], ticks[0]]
        return follows

    def tensors(self):
        """The weights by the names that Hugging Face gives them."""
        count = len(self.vocabulary)
        assert count <= WIDTH and WIDTH == HEADS * HEAD
        embedding = np.eye(count, WIDTH, dtype=np.float32)
        output = np.zeros((count, WIDTH), dtype=np.float32)
        output[self.successors(), np.arange(count)] = CERTAINTY
        yield "model.embed_tokens.weight", embedding
        yield "lm_head.weight", output
        yield "model.norm.weight", np.ones(WIDTH, dtype=np.float32)
        for layer in range(self.layers):
            for name, shape in SHAPES.items():
                fill = np.ones if name.endswith("layernorm") else np.zeros
                yield f"model.layers.{layer}.{name}.weight", fill(shape, dtype=np.float32)


# Of one layer, as rows and columns; one head of keys and values serves all queries.
SHAPES = {
    "input_layernorm": (WIDTH,),
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (HEAD, WIDTH),
    "self_attn.v_proj": (HEAD, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "post_attention_layernorm": (WIDTH,),
    "mlp.gate_proj": (FEED, WIDTH),
    "mlp.up_proj": (FEED, WIDTH),
    "mlp.down_proj": (WIDTH, FEED),
}
