"""Compute ground-truth-aligned latents: the flow LM's guess of each latent from the true ones before it.

    python gta.py RUN      # RUN/gta.npy, [frames, 32]

The decoder is trained on these and on the true latents, so that it tolerates the flow LM's errors.
"""

import numpy as np
import torch
from corpus import Corpus
from lm import Learner, load_learner
from texts import HELD_OUT
from torch import nn
from training import argument_parser, autocast, parse

BATCH = 32
NOISE = 0.15  # standard deviation of the noise on the normalized latents fed back


@torch.no_grad()
def guess_latents(learner: Learner, corpus: Corpus, latents: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """Guessed latents [frames, 32], and the mean squared error of each utterance for normalized latents."""
    result, errors = latents.clone(), np.zeros(len(corpus.ids))
    order = np.argsort(corpus.end - corpus.start)
    for rows in np.array_split(order, len(order) // BATCH + 1):
        spans = [slice(int(corpus.start[k]), int(corpus.end[k])) for k in rows]
        x = learner.lm.normalize(nn.utils.rnn.pad_sequence([latents[span] for span in spans], True))
        tokens = [torch.from_numpy(corpus.tokens[k]).to(x.device) for k in rows]
        n = torch.tensor([len(t) for t in tokens], device=x.device)
        voice = torch.from_numpy(corpus.voice[rows]).to(x.device)
        with autocast(x.device):
            fed_back = x + NOISE * torch.randn_like(x)
            hidden, _ = learner(voice, nn.utils.rnn.pad_sequence(tokens, True), n, fed_back)
        guess = learner.guess(hidden.float())
        for b, (k, span) in enumerate(zip(rows, spans, strict=True)):
            own = guess[b, : span.stop - span.start]
            errors[k] = float((own - x[b, : len(own)]).square().mean())
            result[span] = learner.lm.denormalize(own)
    return result, errors


def main() -> None:
    args = parse(argument_parser(__doc__, minutes=False))
    corpus = Corpus(args.run)
    latents = torch.from_numpy(np.load(args.run / "latents.npy")).to(args.device)
    result, errors = guess_latents(load_learner(args.run, args.device), corpus, latents)
    np.save(args.run / "gta.npy", result.cpu().numpy())
    held_out = corpus.ids % HELD_OUT == 0
    print(f"error of the guess: {errors[~held_out].mean():.3f}", end="")
    print(f", held out {errors[held_out].mean():.3f}" if held_out.any() else "")


if __name__ == "__main__":
    main()
