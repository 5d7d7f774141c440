"""FLOPs: what one training step of generator and discriminator needs, and what a device gives at most."""

import re

from transformers import PreTrainedConfig


def training_flops(
    generator: PreTrainedConfig,
    discriminator: PreTrainedConfig,
    num_examples: int,
    length: int,
    num_masked: int,
    train_generator: bool = True,
) -> int:
    """FLOPs of one forward and backward pass over B examples of L tokens, N of them masked. Matrix products only.

    A product of (m, k) and (k, n) is 2 m k n. With hidden size H, feed-forward size I, embedding size E, vocabulary V
    and K layers, one network's encoder needs forward, per token,

        K (8 H^2  queries, keys, values, output
         + 4 L H  scores, and the sum of values that they weigh
         + 4 H I) feed-forward: two matrices of H x I
        + 2 E H   projection of the embeddings, where E differs from H

    The generator's head is applied to the N masked positions alone: 2 H E + 2 E V for each (dense, output layer tied
    to the table). The discriminator's is applied to every token: 2 H^2 + 2 H (dense, one logit), or 2 H where it is a
    model for token classification, which has no dense layer. Backward is twice forward: a gradient for the input and
    one for the weight of every product. A generator that is not trained has no backward pass. Activations that are
    computed a second time (gradient checkpointing) do not count: the figure is what the model needs, not what the
    machine does.

    Holds for encoders of the BERT family: ELECTRA, BERT, RoBERTa, DistilBERT, ALBERT; others have other layers.
    """
    hidden, embedding = generator.hidden_size, _embedding(generator)
    fill = 2 * hidden * embedding + 2 * embedding * generator.vocab_size
    judge = 2 * discriminator.hidden_size
    if discriminator.model_type == "electra":
        judge += 2 * discriminator.hidden_size**2
    forward_generator = num_examples * (length * _encoder(generator, length) + num_masked * fill)
    forward_discriminator = num_examples * length * (_encoder(discriminator, length) + judge)
    return (3 if train_generator else 1) * forward_generator + 3 * forward_discriminator


def peak_flops(device_name: str, precision: str) -> float | None:
    """Peak FLOP/s of dense matrix products by the datasheet; None for a device or a precision that it does not list.

    Args:
        device_name: as `torch.cuda.get_device_name` gives it.
        precision: bf16, fp16, tf32 or fp32.
    """
    for pattern, peaks in PEAKS.items():
        if re.search(pattern, device_name):
            return peaks[precision] * 1e12 if precision in peaks else None
    return None


def _encoder(config: PreTrainedConfig, length: int) -> int:
    """FLOPs of a token, forward."""
    hidden, embedding = config.hidden_size, _embedding(config)
    layer = 8 * hidden**2 + 4 * length * hidden + 4 * hidden * _intermediate(config)
    return config.num_hidden_layers * layer + (2 * embedding * hidden if embedding != hidden else 0)


def _embedding(config: PreTrainedConfig) -> int:
    return config.embedding_size if config.model_type in ("electra", "albert") else config.hidden_size


def _intermediate(config: PreTrainedConfig) -> int:
    return config.hidden_dim if config.model_type == "distilbert" else config.intermediate_size


_HOPPER = {"bf16": 989.4, "fp16": 989.4, "tf32": 494.7, "fp32": 66.9}
_HOPPER_NVL = {"bf16": 835.5, "fp16": 835.5, "tf32": 417.5, "fp32": 60.0}

# TFLOP/s of dense products, accumulated in fp32: half of what datasheets give "with sparsity". A device without a
# precision lacks its row, but for tf32, which then runs as fp32. The first pattern that is found in the name counts.
PEAKS: dict[str, dict[str, float]] = {
    # https://resources.nvidia.com/en-us-blackwell-architecture/datasheet (HGX B200)
    r"\bB200": {"bf16": 2250.0, "fp16": 2250.0, "tf32": 1100.0, "fp32": 75.0},
    # https://www.nvidia.com/en-us/data-center/h200/
    r"\bH200 NVL": _HOPPER_NVL,
    r"\bH200": _HOPPER,
    # https://resources.nvidia.com/en-us-tensor-core/nvidia-tensor-core-gpu-datasheet; SXM is "H100 80GB HBM3"
    r"\bH100 PCIe": {"bf16": 756.0, "fp16": 756.0, "tf32": 378.0, "fp32": 51.0},
    r"\bH100 NVL": _HOPPER_NVL,
    r"\bH100": _HOPPER,
    # https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf
    r"\bA100": {"bf16": 312.0, "fp16": 312.0, "tf32": 156.0, "fp32": 19.5},
    # https://resources.nvidia.com/en-us-l40s/l40s-datasheet-28413
    r"\bL40S": {"bf16": 362.0, "fp16": 362.0, "tf32": 183.0, "fp32": 91.6},
    # https://resources.nvidia.com/en-us-data-center-overview/l4-gpu-datasheet
    r"\bL4\b": {"bf16": 121.0, "fp16": 121.0, "tf32": 60.0, "fp32": 30.3},
    # https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/tesla-t4/t4-tensor-core-datasheet-951643.pdf
    r"\bT4\b": {"fp16": 65.0, "tf32": 8.1, "fp32": 8.1},
    # https://images.nvidia.com/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf
    r"\bV100-PCIE": {"fp16": 112.0, "tf32": 14.0, "fp32": 14.0},
    r"\bV100": {"fp16": 125.0, "tf32": 15.7, "fp32": 15.7},
    # https://www.nvidia.com/content/PDF/nvidia-ampere-ga-102-gpu-architecture-whitepaper-v2.pdf
    r"\bRTX 3090$": {"bf16": 71.0, "fp16": 71.0, "tf32": 35.6, "fp32": 35.6},
    # https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf
    r"\bRTX 4090$": {"bf16": 165.2, "fp16": 165.2, "tf32": 82.6, "fp32": 82.6},
}
