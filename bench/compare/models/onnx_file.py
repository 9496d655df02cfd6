"""The same model as ONNX, for transformers.js: a decoder with KV cache from onnxruntime's contrib
operators, with the names that its model class expects. Logits of the last position only, as
llama.cpp computes them for a prompt.

transformers.js finds the cache by the symbolic names of its dimensions: `batch_size` and
`past_sequence_length`.
"""

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CONTRIB = "com.microsoft"
BLOCK = 32


def write_onnx(path, config, weights, quantised):
    """`quantised`: MatMulNBits with blocks of 32 and the rounding of Q4_0; else float32."""
    graph = Decoder(config, weights, quantised).graph()
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


class Decoder:
    def __init__(self, config, weights, quantised):
        self.config, self.weights, self.quantised = config, weights, quantised
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, operator, inputs, outputs, domain="", **attributes):
        outputs = outputs if isinstance(outputs, list) else [outputs]
        self.nodes.append(
            helper.make_node(operator, inputs, outputs, domain=domain, **attributes)
        )

    def matmul(self, weight, source, target):
        matrix = self.weights[weight].astype(np.float32)
        if not self.quantised:
            self.node("MatMul", [source, self.constant(weight, matrix.T)], target)
            return
        packed, scales = q4_0(matrix)
        inputs = [source, self.constant(weight + ".q", packed), self.constant(weight + ".s", scales)]
        rows, columns = matrix.shape
        self.node("MatMulNBits", inputs, target, CONTRIB, K=columns, N=rows, bits=4,
                  block_size=BLOCK, accuracy_level=4)  # fmt: skip

    def norm_weight(self, name, suffix=""):
        return self.constant(name + suffix, self.weights[name].astype(np.float32))

    def add_and_norm(self, residual, added, weight, normed, total):
        inputs = [residual, added, self.norm_weight(weight)]
        self.node("SkipSimplifiedLayerNormalization", inputs, [normed, "", "", total], CONTRIB,
                  epsilon=self.config["rms_norm_eps"])  # fmt: skip

    def positions(self):
        """What GroupQueryAttention wants to know of lengths, and the rotary tables."""
        one, zero_d = np.array([1], np.int64), np.array(1, np.int64)
        self.node("ReduceSum", ["attention_mask", self.constant("axis", one)], "lengths", keepdims=0)
        self.node("Sub", ["lengths", self.constant("one", zero_d)], "last_positions")
        self.node("Cast", ["last_positions"], "seqlens_k", to=TensorProto.INT32)
        self.node("Shape", ["attention_mask"], "mask_shape")
        self.node("Gather", ["mask_shape", self.constant("mask_axis", zero_d)], "total", axis=0)
        self.node("Cast", ["total"], "total_length", to=TensorProto.INT32)
        head_dim = self.config["head_dim"]
        frequencies = self.config["rope_theta"] ** (-np.arange(head_dim // 2) * 2.0 / head_dim)
        angles = np.outer(np.arange(self.config["max_position_embeddings"]), frequencies)
        self.constant("cos_cache", np.cos(angles).astype(np.float32))
        self.constant("sin_cache", np.sin(angles).astype(np.float32))

    def attention(self, layer, source, target):
        config, at = self.config, f"layer{layer}_"
        weight = f"model.layers.{layer}.self_attn."
        for name in ("q", "k", "v"):
            self.matmul(f"{weight}{name}_proj.weight", source, at + name)
        past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
        present = [f"present.{layer}.{part}" for part in ("key", "value")]
        inputs = [at + "q", at + "k", at + "v", *past, "seqlens_k", "total_length", "cos_cache", "sin_cache"]
        self.node("GroupQueryAttention", inputs, [at + "attention", *present], CONTRIB,
                  num_heads=config["num_attention_heads"],
                  kv_num_heads=config["num_key_value_heads"], do_rotary=1, rotary_interleaved=0,
                  scale=1 / math.sqrt(config["head_dim"]))  # fmt: skip
        self.inputs += [self.cache_value(name, "past_sequence_length") for name in past]
        self.outputs += [self.cache_value(name, "total_sequence_length") for name in present]
        self.matmul(weight + "o_proj.weight", at + "attention", target)

    def cache_value(self, name, length):
        shape = ["batch_size", self.config["num_key_value_heads"], length, self.config["head_dim"]]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def mlp(self, layer, source, target):
        at, weight = f"layer{layer}_", f"model.layers.{layer}.mlp."
        self.matmul(weight + "gate_proj.weight", source, at + "gate")
        self.matmul(weight + "up_proj.weight", source, at + "up")
        self.node("Sigmoid", [at + "gate"], at + "sigmoid")
        self.node("Mul", [at + "gate", at + "sigmoid"], at + "silu")
        self.node("Mul", [at + "silu", at + "up"], at + "gated")
        self.matmul(weight + "down_proj.weight", at + "gated", target)

    def graph(self):
        layers = self.config["num_hidden_layers"]
        self.positions()
        embedding = self.weights["model.embed_tokens.weight"].astype(np.float32)
        self.node("Gather", [self.constant("embedding", embedding), "input_ids"], "residual", axis=0)
        first = self.norm_weight("model.layers.0.input_layernorm.weight")
        self.node("SimplifiedLayerNormalization", ["residual", first], "normed", axis=-1,
                  epsilon=self.config["rms_norm_eps"], stash_type=1)  # fmt: skip
        residual, normed = "residual", "normed"
        for layer in range(layers):
            at, weight = f"layer{layer}_", f"model.layers.{layer}."
            last = layer + 1 == layers
            following = "model.norm.weight" if last else f"model.layers.{layer + 1}.input_layernorm.weight"
            self.attention(layer, normed, at + "attended")
            self.add_and_norm(residual, at + "attended", weight + "post_attention_layernorm.weight",
                              at + "normed", at + "middle")  # fmt: skip
            self.mlp(layer, at + "normed", at + "mlp")
            self.add_and_norm(at + "middle", at + "mlp", following, at + "next", at + "residual")
            residual, normed = at + "residual", at + "next"
        bounds = [self.constant("from", np.array([-1], np.int64)),
                  self.constant("to", np.array([2**62], np.int64))]  # fmt: skip
        self.node("Slice", [normed, *bounds, "axis"], "last")
        self.matmul("lm_head.weight", "last", "logits")
        value = helper.make_tensor_value_info
        tokens = [
            value("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
            value("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]),
        ]
        logits = value("logits", TensorProto.FLOAT, ["batch_size", 1, self.config["vocab_size"]])
        return helper.make_graph(
            self.nodes, "llama", tokens + self.inputs, [logits, *self.outputs], self.constants
        )


def q4_0(matrix):
    """[N, K] -> nibbles [N, blocks, 16] in ONNX order and scales [N, blocks], rounded as Q4_0 does."""
    rows, columns = matrix.shape
    blocks = matrix.reshape(rows, columns // BLOCK, BLOCK)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)
    scales = largest / np.float32(-8)
    inverse = np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales != 0)
    nibbles = np.clip(np.trunc(blocks * inverse + np.float32(8.5)), 0, 15).astype(np.uint8)
    packed = nibbles[..., 0::2] | (nibbles[..., 1::2] << 4)
    return packed, scales[..., 0].astype(np.float16).astype(np.float32)
