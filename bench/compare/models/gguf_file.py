"""The same model as GGUF, for the peers built on llama.cpp: F16, Q8_0 or Q4_0 matrices."""

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants

from shape import BOS, EOS, UNK

FILE_TYPE = {"F16": 1, "Q8_0": 7, "Q4_0": 2}
NORMAL, CONTROL = 1, 3


def write_gguf(path, config, weights, tokenizer, kind):
    writer = GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(FILE_TYPE[kind])
    add_tokenizer(writer, tokenizer)
    add_tensors(writer, config, weights, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer, tokenizer):
    vocab = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    merges = tokenizer["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocab])
    writer.add_token_types(
        [CONTROL if i < 3 or token.startswith("<pad") else NORMAL for token, i in vocab]
    )
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNK)
    writer.add_add_bos_token(True)


def add_tensors(writer, config, weights, kind):
    quantised = GGMLQuantizationType[kind]

    def put(name, values):
        if values.ndim == 1:
            writer.add_tensor(name, values.astype(np.float32))
        elif kind == "F16":
            writer.add_tensor(name, np.ascontiguousarray(values))
        else:
            values = np.ascontiguousarray(values, np.float32)
            writer.add_tensor(name, quants.quantize(values, quantised), raw_dtype=quantised)

    put("token_embd.weight", weights["model.embed_tokens.weight"])
    for layer in range(config["num_hidden_layers"]):
        source, target = f"model.layers.{layer}.", f"blk.{layer}."
        query = interleaved(weights[source + "self_attn.q_proj.weight"], config["num_attention_heads"])
        key = interleaved(weights[source + "self_attn.k_proj.weight"], config["num_key_value_heads"])
        put(target + "attn_norm.weight", weights[source + "input_layernorm.weight"])
        put(target + "attn_q.weight", query)
        put(target + "attn_k.weight", key)
        put(target + "attn_v.weight", weights[source + "self_attn.v_proj.weight"])
        put(target + "attn_output.weight", weights[source + "self_attn.o_proj.weight"])
        put(target + "ffn_norm.weight", weights[source + "post_attention_layernorm.weight"])
        for name in ("gate", "up", "down"):
            put(target + f"ffn_{name}.weight", weights[source + f"mlp.{name}_proj.weight"])
    put("output_norm.weight", weights["model.norm.weight"])
    put("output.weight", weights["lm_head.weight"])


def interleaved(matrix, heads):
    """Rows from Hugging Face's halves of a head to GGUF's pairs."""
    rows, columns = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
