"""Mistakes of multipliers: of embeddings, scores, what blocks add, and logits."""

from .declare import attentions, layers, mistake


def _has(multiplier: str):
    return lambda model: getattr(model.config, multiplier, 1.0) != 1.0


@mistake("embedding_scale_omitted", "embedding multiplier omitted", _has("embedding_multiplier"))
def _omit_embedding_scale(model) -> None:
    model.model.embedding_multiplier = 1.0


def _has_scaled_table(model) -> bool:
    return hasattr(model.model.embed_tokens, "embed_scale")


@mistake("embeddings_unscaled", "embeddings not times √hidden", _has_scaled_table)
def _leave_embeddings(model) -> None:
    model.model.embed_tokens.embed_scale.fill_(1)


@mistake(
    "attention_cap_omitted",
    "scores not capped",
    lambda model: getattr(attentions(model)[0], "attn_logit_softcapping", None) is not None,
)
def _omit_attention_cap(model) -> None:
    for layer in layers(model):
        layer.self_attn.attn_logit_softcapping = None


def _has_logit_cap(model) -> bool:
    return getattr(model.config, "final_logit_softcapping", None) is not None


@mistake("logit_cap_omitted", "logits not capped", _has_logit_cap)
def _omit_logit_cap(model) -> None:
    model.config.final_logit_softcapping = None


@mistake("residual_scale_omitted", "residual multiplier omitted", _has("residual_multiplier"))
def _omit_residual_scale(model) -> None:
    for layer in layers(model):
        layer.residual_multiplier = 1.0


@mistake("logit_scale_omitted", "logits not divided", _has("logits_scaling"))
def _omit_logit_scale(model) -> None:
    model.config.logits_scaling = 1.0


def _has_own_scale(model) -> bool:
    attention = attentions(model)[0]
    has_head_dim = hasattr(attention, "head_dim")
    return has_head_dim and abs(attention.scaling - attention.head_dim**-0.5) > 1e-9


@mistake("attention_scale_from_head", "scale from head_dim, not the config's own", _has_own_scale)
def _scale_by_head(model) -> None:
    for layer in layers(model):
        layer.self_attn.scaling = layer.self_attn.head_dim**-0.5
