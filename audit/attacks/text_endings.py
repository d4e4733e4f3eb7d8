"""The last token of each sequence, which no block shows, from the output layer and the norm before it.

The loss gives p - e to the logits at a position: the model's answer less one-hot of the next token. With the prefixes
known all is known but the last e of each sequence. A row of the output layer's gradient is the sum over positions of
its entry of p - e times what the layer was given there; solved for a last position, the entry of the last token is the
only negative one (iDLG, arXiv:2001.02610, a position at a time). Where the layer shares its weights with the token
embedding, rows of tokens that were read hold more than that; those tokens are told apart by the gradient of the last
norm's weight, which is a sum over positions as well and reaches no block.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from audit.attacks.text_decoder import Decoder

DECISIVE = 10.0
"""How many times the next one the most negative entry must be to name a token by itself."""
LARGE = 0.25
"""Least magnitude of that entry, as a share of the factor of the loss at a position."""
SWEEPS = 4
"""Most rounds in which the tokens that are still open are chosen anew, one after another."""
SMALL_WEIGHT = 1e-6
"""Entries of the norm's weight below this are not divided by."""


@torch.no_grad()
def last_tokens(decoder: Decoder, gradients: Mapping[str, Tensor], prefixes: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the token that follows each prefix; nothing where the update holds no gradient of the output layer.

    Args:
        decoder: The model at which it was computed.
        gradients: Of the output layer and of the norm before it, by name; at any scale.
        prefixes: All sequences behind the gradient, each without its last token.
    """
    if not prefixes or decoder.output_name not in gradients:
        return []
    states = torch.cat([decoder.output_inputs(torch.tensor(prefix)) for prefix in prefixes])
    ends = torch.tensor([len(prefix) for prefix in prefixes]).cumsum(0) - 1
    columns = torch.linalg.pinv(states.double())[:, ends].float()
    entries = gradients[decoder.output_name].float() @ columns
    read = torch.tensor(sorted({token for prefix in prefixes for token in prefix}))
    if decoder.output_name != decoder.embedding_name:
        return [int(token) for token in entries.argmin(dim=0)]
    least, named = entries.index_fill(0, read, torch.inf).topk(2, dim=0, largest=False)
    sure = least[0] < -DECISIVE * least[1].abs()
    chosen = torch.where(sure, named[0], read[entries[read].argmin(dim=0)])
    if decoder.norm_name in gradients:
        positions = _Positions(decoder, gradients[decoder.norm_name], prefixes, states, ends)
        sure &= least[0] < -LARGE * positions.scale(chosen)
        open_to = [
            token[None] if told else torch.cat([read, token[None]]) for told, token in zip(sure, named[0], strict=True)
        ]
        chosen = positions.settle(chosen, open_to)
    return [int(token) for token in chosen]


class _Positions:
    """All positions behind the gradient of the last norm's weight, of which only the last tokens are open."""

    def __init__(
        self, decoder: Decoder, observed: Tensor, prefixes: Sequence[tuple[int, ...]], states: Tensor, ends: Tensor
    ) -> None:
        weight, bias = decoder.last_norm
        usable = weight.abs() > SMALL_WEIGHT
        self._observed = observed.double()[usable]
        self._given = ((states - bias) / weight)[:, usable].double()  # what the norm gives before its weight
        self._table = decoder.output_weight.double()[:, usable]
        self._answered = torch.softmax(states @ decoder.output_weight.T, dim=1).double() @ self._table
        self._following = torch.tensor([token for prefix in prefixes for token in (*prefix[1:], 0)])
        self._ends = ends

    def scale(self, chosen: Tensor) -> float:
        """Return the factor of the loss at each position, 1 / positions for a mean, if the ends are as `chosen`."""
        following = self._following.clone()
        following[self._ends] = chosen
        total = ((self._answered - self._table[following]) * self._given).sum(dim=0)
        return float((self._observed @ total).abs() / (total @ total).clamp_min(1e-30))

    def settle(self, chosen: Tensor, candidates: Sequence[Tensor]) -> Tensor:
        """Return for each end the candidate that brings the gradient nearest in direction to the observed one.

        Ends are gone through one after another, the others as they stand, until no choice changes.
        """
        following = self._following.clone()
        following[self._ends] = chosen
        for _ in range(SWEEPS):
            before = following.clone()
            total = ((self._answered - self._table[following]) * self._given).sum(dim=0)
            for row, tokens in zip(self._ends.tolist(), candidates, strict=True):
                without = total + self._table[following[row]] * self._given[row]
                tried = without - self._table[tokens] * self._given[row]
                best = torch.cosine_similarity(tried, self._observed[None], dim=1).argmax()
                following[row], total = tokens[best], tried[best]
            if torch.equal(before, following):
                break
        return following[self._ends]
