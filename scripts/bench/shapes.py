"""Shapes of models that are timed with random weights: transformers' model_type and the sizes of its config."""

SHAPES = {
    "bert-base": ("bert", dict(vocab_size=28996)),
    "gpt2": ("gpt2", dict(vocab_size=50257, n_embd=768, n_layer=12, n_head=12)),
    "qwen2-0.5b": (
        "qwen2",
        dict(
            vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, tie_word_embeddings=True,
        ),
    ),
}  # fmt: skip
