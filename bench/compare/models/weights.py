"""Random weights from a fixed seed: every run writes the same model."""

import math

import numpy as np

SEED = 1234


def random_weights(config, word_ids):
    """Hugging Face names -> float16 arrays. `word_ids`: the only tokens that greedy choice can take.

    The other rows of the output are zero, so their logits are: bytes that are no UTF-8 would make
    wllama abort, and the end token would end an answer early. The work is the same.
    """
    random = np.random.default_rng(SEED)
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    ffn, vocab, head_dim = config["intermediate_size"], config["vocab_size"], config["head_dim"]
    query = config["num_attention_heads"] * head_dim
    kv = config["num_key_value_heads"] * head_dim

    def matrix(rows, columns, scale=1.0):
        values = random.standard_normal((rows, columns), dtype=np.float32)
        return (values * (scale / math.sqrt(columns))).astype(np.float16)

    def norm():
        return (1 + 0.1 * random.standard_normal(hidden)).astype(np.float16)

    # What a layer adds shrinks with their number, so that activations stay of one size.
    residual = 2 / math.sqrt(2 * layers)
    embedding = random.standard_normal((vocab, hidden), dtype=np.float32).astype(np.float16)
    weights = {"model.embed_tokens.weight": embedding}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        weights |= {
            prefix + "self_attn.q_proj.weight": matrix(query, hidden),
            prefix + "self_attn.k_proj.weight": matrix(kv, hidden),
            prefix + "self_attn.v_proj.weight": matrix(kv, hidden),
            prefix + "self_attn.o_proj.weight": matrix(hidden, query, residual),
            prefix + "mlp.gate_proj.weight": matrix(ffn, hidden),
            prefix + "mlp.up_proj.weight": matrix(ffn, hidden),
            prefix + "mlp.down_proj.weight": matrix(hidden, ffn, residual),
            prefix + "input_layernorm.weight": norm(),
            prefix + "post_attention_layernorm.weight": norm(),
        }
    weights["model.norm.weight"] = np.ones(hidden, np.float16)
    output = matrix(vocab, hidden, 2.0)
    allowed = np.zeros(vocab, bool)
    allowed[word_ids] = True
    output[~allowed] = 0
    weights["lm_head.weight"] = output
    return weights
