"""Writes the suite's Llama as a GGUF file, for llama.cpp: python -m llm.gguf_model FILE"""

import sys

import gguf

from llm.llama import BEGIN, BYTES, CHAT_TEMPLATE, CONTROL, END, FEED, HEAD, HEADS, UNKNOWN, WIDTH, Llama

# llama.cpp takes so many tokens of a prompt and its answer, and then ends it.
CONTEXT = 16384

BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OUTSIDE = {"model.embed_tokens": "token_embd", "lm_head": "output", "model.norm": "output_norm"}


def rename(name):
    """llama.cpp's name of a tensor."""
    stem = name.removesuffix(".weight")
    if stem in OUTSIDE:
        return OUTSIDE[stem] + ".weight"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{BLOCK[part]}.weight"


def kind(token):
    if token == UNKNOWN:
        return gguf.TokenType.UNKNOWN
    if token < len(CONTROL):
        return gguf.TokenType.CONTROL
    return gguf.TokenType.BYTE if token < len(CONTROL) + len(BYTES) else gguf.TokenType.NORMAL


def write(path, model):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("sluice-e2e")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_tokenizer(writer, model.vocabulary)
    for name, values in model.tensors():
        writer.add_tensor(rename(name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer, vocabulary):
    """SentencePiece's way, which writes a blank as U+2581; what has no piece falls back to its bytes."""
    writer.add_tokenizer_model("llama")
    writer.add_vocab_size(len(vocabulary))
    writer.add_token_list([piece.replace(" ", "\u2581") for piece in vocabulary])
    writer.add_token_scores([0.0] * len(vocabulary))
    writer.add_token_types([kind(token) for token in range(len(vocabulary))])
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


if __name__ == "__main__":
    write(sys.argv[1], Llama())
