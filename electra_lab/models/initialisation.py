"""The published initialisation of ELECTRA, where it differs from transformers'."""

from torch import nn
from transformers import PreTrainedModel

# TensorFlow's default where the published code names no initialiser: modeling.py:224-228, run_pretraining.py:187-193
_GLOROT = ("embeddings_project", "discriminator_predictions.dense_prediction")


def initialise_like_google(model: PreTrainedModel) -> None:
    """Draw all weights of an ELECTRA network anew, in place.

    Matrices and tables from a normal distribution cut off at two standard deviations (transformers does not cut);
    the projection of the embeddings and the discriminator's last layer from Glorot's uniform one; biases 0, norms 1.
    """
    std = model.config.initializer_range
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.endswith(_GLOROT):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Linear | nn.Embedding):
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
