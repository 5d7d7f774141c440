"""A linear model of messages' character n-grams, beside the encoder: it knows rare words that the encoder has not read.

"Wide & deep" (Cheng et al. 2016, https://arxiv.org/abs/1606.07792): what generalises and what remembers, added up.
"""

import torch
from torch import Tensor, nn

from electra_lab.batches import NGRAM_BUCKETS, ConversationBatch


class NgramScores(nn.Module):
    """One weight for every hashed n-gram; a message's score is the weighted sum of its n-grams', and one number more.

    Without that number all n-grams together would have to say that most messages are harmless, and a message of unknown
    ones would stand out for nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(NGRAM_BUCKETS))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, batch: ConversationBatch) -> Tensor:
        """Logits (M,) of the messages, float32; 0 before anything is learned."""
        values = self.weight[batch.ngram_ids].float() * batch.ngram_weights  # (G,)
        alone = self.bias.float().expand(batch.window_of_message.shape[0])  # (M,)
        return alone.index_add(0, batch.message_of_ngram, values)
