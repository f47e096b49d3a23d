"""Writes the suite's Llama as a folder that vLLM loads: python -m llm.hf_model FOLDER

Runs where vLLM is installed, whose tokenizers and safetensors it needs.
"""

import json
import sys
from pathlib import Path

from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, processors

from llm.llama import BEGIN, CHAT_TEMPLATE, CONTROL, END, FEED, HEAD, HEADS, UNKNOWN, WIDTH, Llama

CONTEXT = 8192


def config(model):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": FEED,
        "num_hidden_layers": model.layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 1,
        "head_dim": HEAD,
        "vocab_size": len(model.vocabulary),
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "bos_token_id": BEGIN,
        "eos_token_id": END,
    }


def tokenizer(model):
    """Pieces where a text has them, else bytes."""
    # A byte costs more than a piece, so that pieces are preferred.
    score = {True: -1.0, False: -10.0}
    made = Tokenizer(
        models.Unigram(
            [(piece, score[not piece.startswith("<0x")]) for piece in model.vocabulary],
            unk_id=UNKNOWN,
            byte_fallback=True,
        )
    )
    made.add_special_tokens([AddedToken(token, special=True) for token in CONTROL])
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    begin = CONTROL[BEGIN]
    made.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, BEGIN)]
    )
    return made


def write(folder, model):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(model.tensors()), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer(model).save(str(folder / "tokenizer.json"))
    documents = {
        "config.json": config(model),
        "generation_config.json": {"bos_token_id": BEGIN, "eos_token_id": END},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": CONTROL[BEGIN],
            "eos_token": CONTROL[END],
            "unk_token": CONTROL[UNKNOWN],
            "model_max_length": CONTEXT,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    write(Path(sys.argv[1]), Llama())
