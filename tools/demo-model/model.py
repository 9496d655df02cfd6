"""The demo models: Qwen3 and Qwen3-MoE in plain PyTorch, equal to those of transformers.

Owns the architecture and two ways to run it: over ragged rows for training and with a KV cache
for greedy evaluation. Refuses everything the demo does not use (biases, windows, RoPE scaling).
Shapes: N tokens, B rows, T tokens per row, H heads, D head size, E hidden size.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from moe import SparseMLP
from torch import Tensor, nn


@dataclass(frozen=True)
class ModelConfig:
    vocab_size: int = 1024
    hidden_size: int = 128
    intermediate_size: int = 320
    num_hidden_layers: int = 10
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    max_position_embeddings: int = 16384
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0


@dataclass(frozen=True)
class MoeConfig(ModelConfig):
    """Every MLP sparse; `intermediate_size` is then only what the file format asks for."""

    num_hidden_layers: int = 7
    moe_intermediate_size: int = 64
    num_experts: int = 8
    num_experts_per_tok: int = 2


MODELS = {"demo": ModelConfig(), "demo-moe": MoeConfig()}


def config_of(sizes: dict) -> ModelConfig:
    """From the entries of a config.json or a checkpoint; others are passed over."""
    kind = MoeConfig if "num_experts" in sizes else ModelConfig
    return kind(**{field.name: sizes[field.name] for field in fields(kind) if field.name in sizes})


class Rows:
    """Ragged rows laid end to end: `groups` holds (first token, row count, row length)."""

    def __init__(self, groups: list[tuple[int, int, int]], positions: Tensor):
        self.groups = groups
        self.positions = positions


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE in the half-split layout. x [..., H, D]; cos and sin [..., D / 2]."""
    low, high = x.chunk(2, dim=-1)
    cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)


def rope_table(config: ModelConfig, length: int) -> tuple[Tensor, Tensor]:
    half = config.head_dim // 2
    frequency = config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
    return angle.cos().float(), angle.sin().float()


class RMSNorm(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))


class Attention(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        query = config.num_attention_heads * config.head_dim
        key = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, query, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, key, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, key, bias=False)
        self.o_proj = nn.Linear(query, config.hidden_size, bias=False)
        self.q_norm = RMSNorm(config.head_dim)
        self.k_norm = RMSNorm(config.head_dim)


class MLP(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


# What is added in place of a skipped sublayer: its input times A [E, rank] times B [rank, E].
Forecast = tuple[Tensor, Tensor]


class Layer(nn.Module):
    # What a layer plan skips, and what stands in for it, if anything (planned.py).
    skips_attention = False
    skips_mlp = False
    attention_forecast: Forecast | None = None
    mlp_forecast: Forecast | None = None
    only: Tensor | None = None  # [B]: with a cache, the rows that this layer changes

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.self_attn = Attention(config)
        self.mlp = SparseMLP(config) if isinstance(config, MoeConfig) else MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size)
        self.post_attention_layernorm = RMSNorm(config.hidden_size)

    def attention_input(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.input_layernorm.weight, self.config.rms_norm_eps)

    def mlp_input(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.post_attention_layernorm.weight, self.config.rms_norm_eps)

    def heads(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [..., E] -> queries [..., H, D], keys and values [..., KV heads, D]."""
        config, attention = self.config, self.self_attn
        x = self.attention_input(x)
        query = attention.q_proj(x).unflatten(-1, (config.num_attention_heads, config.head_dim))
        key = attention.k_proj(x).unflatten(-1, (config.num_key_value_heads, config.head_dim))
        value = attention.v_proj(x).unflatten(-1, (config.num_key_value_heads, config.head_dim))
        query = rms_norm(query, attention.q_norm.weight, config.rms_norm_eps)
        key = rms_norm(key, attention.k_norm.weight, config.rms_norm_eps)
        return rotate(query, cos, sin), rotate(key, cos, sin), value

    def add_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        return x + self.self_attn.o_proj(attended)

    def add_mlp(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.mlp_input(x))

    def attention_by_plan(self, x: Tensor, cos: Tensor, sin: Tensor, rows: "Rows") -> Tensor:
        if self.skips_attention:
            return add_forecast(x, self.attention_input, self.attention_forecast)
        return self.add_attention(x, attend_rows(*self.heads(x, cos, sin), rows))

    def mlp_by_plan(self, x: Tensor) -> Tensor:
        if self.skips_mlp:
            return add_forecast(x, self.mlp_input, self.mlp_forecast)
        return self.add_mlp(x)


def add_forecast(x: Tensor, input_of: Callable[[Tensor], Tensor], forecast: Forecast | None) -> Tensor:
    return x if forecast is None else x + input_of(x) @ forecast[0] @ forecast[1]


def attend_rows(query: Tensor, key: Tensor, value: Tensor, rows: Rows) -> Tensor:
    """Causal attention inside each row. query [N, H, D] -> [N, H * D]."""
    outputs = []
    # Split once: slices of their own would each be filled to full size on the way back.
    sizes = [count * length for _, count, length in rows.groups]
    parts = zip(*(x.split(sizes) for x in (query, key, value)))
    for (_, count, length), part in zip(rows.groups, parts, strict=True):
        heads = (x.unflatten(0, (count, length)).transpose(1, 2) for x in part)
        out = F.scaled_dot_product_attention(*heads, is_causal=True, enable_gqa=True)
        outputs.append(out.transpose(1, 2).reshape(count * length, -1))
    return torch.cat(outputs)


class Body(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size)


class DemoModel(nn.Module):
    """Parameter names are those of transformers' files; only experts are stacked (weights.py)."""

    def __init__(self, config: ModelConfig = ModelConfig()):
        super().__init__()
        self.config = config
        self.model = Body(config)
        cos, sin = rope_table(config, 2048)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.initialise()

    def initialise(self) -> None:
        """Small normal weights; matrices that write to the residual start smaller still."""
        depth = (2 * self.config.num_hidden_layers) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                fan_in = parameter.shape[-1]
                scale = 0.02 if "embed" in name else fan_in**-0.5
                if "o_proj" in name or "down_proj" in name:
                    scale /= depth
                nn.init.normal_(parameter, std=scale)

    def head(self, x: Tensor) -> Tensor:
        x = rms_norm(x, self.model.norm.weight, self.config.rms_norm_eps)
        return F.linear(x, self.model.embed_tokens.weight)

    def forward_rows(self, ids: Tensor, rows: Rows, keep: list[bool]) -> Tensor:
        """ids [N] -> hidden states [N, E]. `keep` has one flag per sublayer, for layer dropout."""
        x = self.model.embed_tokens(ids)
        cos, sin = self.cos[rows.positions], self.sin[rows.positions]
        for index, layer in enumerate(self.model.layers):
            if keep[2 * index]:
                x = layer.attention_by_plan(x, cos, sin, rows)
            if keep[2 * index + 1]:
                x = layer.mlp_by_plan(x)
        return x

    def forward_cached(self, ids: Tensor, positions: Tensor, mask: Tensor, cache: "Cache") -> Tensor:
        """One step with a KV cache: ids and positions [B, T], mask [B, 1, T, keys so far and these]
        -> logits [B, vocab] of the last token. The cache is extended in place."""
        x = self.model.embed_tokens(ids)
        cos, sin = self.cos[positions], self.sin[positions]
        before, after = cache.length, cache.length + ids.shape[1]
        for layer, (keys, values) in zip(self.model.layers, cache.layers, strict=True):
            entered = x
            if layer.skips_attention:
                x = add_forecast(x, layer.attention_input, layer.attention_forecast)
            else:
                query, keys[:, before:after], values[:, before:after] = layer.heads(x, cos, sin)
                heads = (t.transpose(1, 2) for t in (query, keys[:, :after], values[:, :after]))
                out = F.scaled_dot_product_attention(*heads, mask, enable_gqa=True)
                x = layer.add_attention(x, out.transpose(1, 2).flatten(2))
            x = layer.mlp_by_plan(x)
            if layer.only is not None:
                x = torch.where(layer.only[:, None, None], x, entered)
        cache.length = after
        return self.head(x[:, -1])


class Cache:
    """Keys and values of B rows for up to `longest` tokens each; `length` of them are filled."""

    def __init__(self, config: ModelConfig, rows: int, longest: int):
        shape = (rows, longest, config.num_key_value_heads, config.head_dim)
        layers = range(config.num_hidden_layers)
        self.layers = [(torch.zeros(shape), torch.zeros(shape)) for _ in layers]
        self.length = 0
