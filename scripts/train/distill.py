"""Distill the flow net, so that it goes from noise to a latent in one step. The backbone does not change.

    python distill.py RUN --minutes 8      # RUN/lm_final.pt

Progressive self-distillation (as in Lagrangian self-distillation, arXiv 2505.18825): a step from s to t must end where
two half steps of the net's own moving average end. Hidden states are computed only once, so a step takes milliseconds.
"""

import copy

import torch
from lm import Learner, load_learner
from model import FlowNet
from torch import nn
from training import Training, argument_parser, autocast, descend, make_optimizer, parse
from utterances import Batch, Utterances

POSITIONS = 2048  # tokens and frames of a batch when hidden states are computed
PASSES = 2  # passes over the utterances, with different noise on the latents fed back
MOST, MOST_HELD_OUT = 1600, 100  # largest number of utterances of each size
FEEDBACK_NOISE = 0.09  # largest standard deviation of the noise, for normalized latents
WHOLE = 0.4  # share of steps from 0 to 1, as in synthesis
AVERAGE = 0.995  # decay of the moving average
Frames = tuple[torch.Tensor, torch.Tensor]  # hidden states [M, d_model], and the latents [M, 32] to predict from them


@torch.no_grad()
def hidden_states(learner: Learner, batch: Batch) -> Frames:
    """The hidden states and latents of the frames of a batch, with a little noise on the latents fed back."""
    x = learner.lm.normalize(batch.latents)
    noise = FEEDBACK_NOISE * torch.rand(len(x), 1, 1, device=x.device) * torch.randn_like(x)
    with autocast(x.device):
        h, _ = learner(batch.voice, batch.tokens, batch.n, x + noise)
    inside = torch.arange(x.shape[1], device=x.device) < batch.t[:, None]
    return h.float()[inside], x[inside]


def collect(learner: Learner, utterances: Utterances, held_out: bool) -> Frames:
    """Frames of the first corpus: training or held-out utterances."""
    found = []
    for size in utterances.sizes:
        rows = torch.unique(size.held_out if held_out else size.training[0])
        for _ in range(1 if held_out else PASSES):
            shuffled = rows[torch.randperm(len(rows), device=rows.device)][: MOST_HELD_OUT if held_out else MOST]
            found += [hidden_states(learner, utterances.batch(some, size)) for some in shuffled.split(size.batch)]
    if not any(len(h) for h, _ in found):
        return torch.zeros(0, 1), torch.zeros(0, 32)
    return torch.cat([h for h, _ in found]), torch.cat([x for _, x in found])


def losses(net: nn.Module, slow: FlowNet, h: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The flow matching loss on the first half of the frames, and the step loss on the second. slow: the moving average."""
    n, device = len(x) // 2, x.device
    start, t = torch.randn_like(x[:n]), torch.sigmoid(torch.randn(n, 1, device=device))
    flow = (net(h[:n], (t, t), (1 - t) * start + t * x[:n]) - (x[:n] - start)).square().mean()
    h, x = h[n:], x[n:]
    start = torch.randn_like(x)
    s, t = torch.rand(2, len(x), 1, device=device).sort(0).values
    whole = torch.rand(len(x), 1, device=device) < WHOLE
    s, t = s.masked_fill(whole, 0.0), t.masked_fill(whole, 1.0)
    at = (1 - s) * start + s * x
    with torch.no_grad():
        middle = (s + t) / 2
        first = slow(h, (s, middle), at)
        second = slow(h, (middle, t), at + (middle - s) * first)
    step = (net(h, (s, t), at) - (first + second) / 2).square().mean()
    # Without noise, the step should end at the mean of the possible latents: at a temperature near 0 that one is spoken.
    k = len(x) // 4
    zero = torch.zeros(k, 1, device=device)
    mean = (net(h[:k], (zero, zero + 1), torch.zeros_like(x[:k])) - x[:k]).square().mean()
    return flow, step + 0.5 * mean


@torch.no_grad()
def sample_error(net: FlowNet, frames: Frames, steps: int, temperature: float) -> float:
    """Mean squared error of samples with `steps` steps. (The linear guess has about the lowest possible error.)"""
    h, x = (v[:4096] for v in frames)
    z = torch.randn_like(x) * temperature**0.5
    for i in range(steps):
        s, t = (torch.full((len(x), 1), at / steps, device=x.device) for at in (i, i + 1))
        z = z + net(h, (s, t), z) / steps
    return float((z - x).square().mean())


def distill(training: Training, slow: FlowNet, frames: Frames, batch: int) -> None:
    """Train the flow net of `training` until its minutes are spent. slow: its moving average."""
    (h, x), net = frames, training.modules["net"]
    slow.load_state_dict(training.ema)
    training.ema = slow.state_dict()  # the same tensors: the training updates them in place
    for _ in training:
        rows = torch.randint(len(h), (batch,), device=h.device)
        flow, step = losses(net, slow, h[rows], x[rows])
        training.optimizers[0].zero_grad()
        (flow + step).backward()
        descend(training.optimizers[0], net)
        training.log(flow=flow, step=step)


def report(net: FlowNet, held_out: Frames) -> None:
    """Print errors of samples for held-out frames."""
    if len(held_out[0]):
        errors = [f"{steps}: {sample_error(net, held_out, steps, 0.3):.3f}" for steps in (1, 4, 32)]
        errors.append(f"1 without noise: {sample_error(net, held_out, 1, 0.0):.3f}")
        print(f"errors held out, by steps: {', '.join(errors)}", flush=True)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--batch", type=int, default=2048, help="frames")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    args = parse(parser)
    utterances = Utterances([args.run], POSITIONS, args.device)
    learner = load_learner(args.run, args.device)
    frames, held_out = (collect(learner, utterances, held) for held in (False, True))
    print(f"{len(frames[0])} frames, {len(held_out[0])} held out", flush=True)
    if len(held_out[0]):
        with torch.no_grad():
            guess = float((learner.guess(held_out[0]) - held_out[1]).square().mean())
        print(f"error of the linear guess, held out: {guess:.3f}")
    earlier = args.run / "distill.pt"
    if earlier.exists() and earlier.stat().st_mtime < (args.run / "lm.pt").stat().st_mtime:
        earlier.unlink()  # the hidden states of the flow LM have changed since
    net, slow = (copy.deepcopy(learner.lm.flow_net).requires_grad_(grad) for grad in (True, False))
    optimizer = make_optimizer(net, args.rate, (0.9, 0.99))
    training = Training(args.run, "distill", args.minutes, {"net": net}, [optimizer], "net", ema=AVERAGE)
    distill(training, slow, frames, args.batch)
    report(slow, held_out)
    learner.lm.flow_net.load_state_dict(slow.state_dict())
    torch.save({"ema": learner.state_dict()}, args.run / "lm_final.pt")


if __name__ == "__main__":
    main()
