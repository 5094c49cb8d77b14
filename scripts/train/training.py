"""Shared code of the training scripts: device, optimizer, and a training loop with a time limit that can be resumed."""

import argparse
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import yaml
from torch import nn

WARMUP_STEPS = 100
LOWEST_RATE = 0.02  # final learning rate, relative to the peak
LOG_SECONDS, SAVE_SECONDS = 20, 60
torch.set_flush_denormal(True)  # a CPU is many times slower with denormal numbers
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True


def load_yaml(run: Path) -> dict[str, Any]:
    """The architecture of the model in RUN."""
    config: dict[str, Any] = yaml.safe_load((run / "mini.yaml").read_text())
    return config


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def argument_parser(doc: str | None, minutes: bool = True) -> argparse.ArgumentParser:
    """A parser with RUN, --device, --threads and, for trainings, --minutes. `doc` is the script's docstring."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the corpus and its trainings")
    parser.add_argument("--device", default=default_device(), help="cpu or cuda (default: cuda if there is one)")
    parser.add_argument(
        "--threads", type=int, default=0, help="threads of each process on a CPU (default: OMP_NUM_THREADS)"
    )
    if minutes:
        parser.add_argument("--minutes", type=float, required=True, help="total minutes, including earlier calls")
    return parser


def parse(parser: argparse.ArgumentParser, seed: int = 0) -> argparse.Namespace:
    """Parsed arguments; sets the number of threads and the random seed."""
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(seed)
    return args


def cpu_has_fast_bf16() -> bool:
    """Whether this CPU has fast bf16: AMX, AVX512-BF16 or ARM's bf16 instructions (only detected on Linux)."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return bool(flags & {"amx_bf16", "avx512_bf16", "bf16"})


FAST_BF16 = {"cpu": cpu_has_fast_bf16(), "cuda": True}  # detected here, since compiled functions can't read files


def autocast(device: str | torch.device) -> torch.autocast:
    """Autocast that computes matrix products in bf16 if that is faster."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=FAST_BF16[kind])


def make_optimizer(
    module: nn.Module, rate: float, betas: tuple[float, float] = (0.9, 0.98), decay: float = 0.01
) -> torch.optim.AdamW:
    """Fused AdamW with weight decay for matrices only."""
    weights = [w for w in module.parameters() if w.requires_grad]
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    if weights[0].device.type == "cpu":
        return torch.optim.AdamW(groups, rate, betas=betas, fused=True)
    # A CUDA graph replays the addresses it recorded, so the rate has to be a tensor.
    return torch.optim.AdamW(
        groups, torch.tensor(rate, device=weights[0].device), betas=betas, fused=True, capturable=True
    )


def descend(optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
    """One optimizer step, with gradients clipped to norm 1. On CUDA a step with non-finite gradients is skipped."""
    norm = nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    if norm.device.type == "cuda":
        optimizer.found_inf = (~norm.isfinite()).float()  # read by fused AdamW
    optimizer.step()


class Training:
    """Runs steps until the minutes are spent, or until SIGTERM or SIGINT. Saves RUN/NAME.pt atomically at the end and every minute.

    A new call resumes from that file. The learning rate warms up over 100 steps and falls linearly to about zero over
    the minutes, so the schedule fits any machine. Minutes are processor time per thread on a CPU and wall time on CUDA,
    so a busy machine does not shorten the training. A stopped process (SIGSTOP) does not spend any.

    Several processes (data parallel, started by train.py or torchrun) share gradients, times and the decision to stop.
    Only rank 0 prints and saves.
    """

    def __init__(
        self,
        run: Path,
        name: str,
        minutes: float,
        modules: dict[str, nn.Module],
        optimizers: list[torch.optim.Optimizer],
        averaged: str,
        ema: float = 0.998,
    ) -> None:
        """averaged: name of the module whose moving average, with decay `ema`, is kept and exported."""
        self.path, self.modules, self.optimizers, self.averaged = run / f"{name}.pt", modules, optimizers, averaged
        self.seconds, self.decay = minutes * 60, ema
        self.device = next(modules[averaged].parameters()).device
        self.peak_rates = [[float(group["lr"]) for group in o.param_groups] for o in optimizers]
        self.step, self.worked, self.first_step = 0, 0.0, 0
        self.means: dict[str, tuple[torch.Tensor, int]] = {}
        self.ema = {k: v.detach().clone() for k, v in modules[averaged].state_dict().items()}
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("gloo")
        if self.path.exists():
            self._load()
        torch.manual_seed(1000 * self.step + self.rank)  # so that a resumed training draws different crops
        if self.rank == 0:
            done = f"{self.worked / 60:.1f} of {minutes:g} minutes"
            print(f"{name}: from step {self.step}, {done}, on {self.device}", flush=True)

    @property
    def progress(self) -> float:
        """The share of the minutes that is spent, 0 to 1."""
        return min(1.0, self.worked / self.seconds)

    def __iter__(self) -> Iterator[float]:
        """Yield the progress before each step. The caller runs the step."""
        if self.worked >= self.seconds:
            return
        signals: list[int] = []
        handled = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, lambda number, _: signals.append(number)) for number in handled]
        logged = saved = self.worked
        usual, began, stop = 60.0, self._clock(), False
        while not stop:
            self._set_rates()
            yield self.progress
            self._update_average()
            now = self._clock()
            took, began = now - began, now
            took, stop = self._agree(min(took, 3 * usual), bool(signals))
            usual = min(took, usual * 1.05)
            self.worked, self.step = self.worked + took, self.step + 1
            stop = stop or self.worked >= self.seconds
            if stop or self.worked - logged > LOG_SECONDS:
                logged = self.worked
                self._print()
            if stop or self.worked - saved > SAVE_SECONDS:
                saved = self.worked
                self._save()
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
        if signals:
            raise SystemExit(128 + signals[0])

    def share_gradients(self, module: nn.Module) -> None:
        """Average the gradients of all processes."""
        if self.world == 1:
            return
        gradients = [w.grad for w in module.parameters() if w.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        for g, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            g.copy_(part.view_as(g))

    def log(self, **values: torch.Tensor) -> None:
        """Add values to running means over about the last 50 calls. The device is not synchronized until they are printed."""
        for k, v in values.items():
            mean, n = self.means.get(k, (torch.zeros((), device=v.device), 0))
            self.means[k] = torch.lerp(mean, v.detach().float(), max(0.02, 1 / (n + 1))), n + 1

    def _clock(self) -> float:
        if self.device.type == "cuda":
            return time.monotonic()
        return time.process_time() / torch.get_num_threads()

    def _set_rates(self) -> None:
        scale = min(1, (self.step + 1 - self.first_step) / WARMUP_STEPS) * max(LOWEST_RATE, 1 - self.progress)
        for o, peaks in zip(self.optimizers, self.peak_rates, strict=True):
            for group, peak in zip(o.param_groups, peaks, strict=True):
                if isinstance(group["lr"], torch.Tensor):
                    group["lr"].fill_(peak * scale)
                else:
                    group["lr"] = peak * scale

    def _agree(self, took: float, stop: bool) -> tuple[float, bool]:
        """The mean seconds of all processes, and whether any of them must stop, so that all stop at the same step."""
        if self.world == 1:
            return took, stop
        shared = torch.tensor([took, float(stop)], dtype=torch.float64)
        dist.all_reduce(shared)
        return float(shared[0]) / self.world, bool(shared[1] > 0)

    @torch.no_grad()
    def _update_average(self) -> None:
        state = self.modules[self.averaged].state_dict()
        names = [k for k, v in state.items() if v.is_floating_point()]
        weight = max(1 - self.decay, 1 / (self.step + 1))
        torch._foreach_lerp_([self.ema[k] for k in names], [state[k] for k in names], weight)

    def _print(self) -> None:
        if self.rank == 0:
            values = "  ".join(f"{k} {float(v):.4f}" for k, (v, _) in self.means.items())
            print(f"step {self.step}  {self.worked / 60:.1f} min  {values}", flush=True)

    def _save(self) -> None:
        if self.rank:
            return
        state = {
            "step": self.step,
            "worked": self.worked,
            "first_step": self.first_step,
            "ema": self.ema,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "modules": {k: m.state_dict() for k, m in self.modules.items()},
        }
        temporary = self.path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.path)

    def _load(self) -> None:
        """Resume from the file. Without optimizer states (checkpoint.py), the learning rate warms up again."""
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        self.step, self.worked, self.ema = state["step"], state["worked"], state["ema"]
        for k, module in self.modules.items():
            if k in state.get("modules", {}):
                module.load_state_dict(state["modules"][k])
            elif k == self.averaged:
                module.load_state_dict(state["ema"])
        saved = state.get("optimizers", [])
        for o, s in zip(self.optimizers, saved, strict=False):
            o.load_state_dict({"state": s["state"], "param_groups": o.state_dict()["param_groups"]})
        self.first_step = state.get("first_step", -WARMUP_STEPS) if saved else self.step


def load_average(path: Path, device: str | torch.device = "cpu") -> dict[str, torch.Tensor]:
    """The moving average of the weights in the training file `path`."""
    if not path.exists():
        raise SystemExit(f"{path} is missing: run the step that writes it first (train.py runs all steps in order)")
    state: dict[str, torch.Tensor] = torch.load(path, map_location=device, weights_only=True)["ema"]
    return state


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Context manager: no gradients and no dropout inside; back to training mode at the end."""
    module.eval()
    with torch.no_grad():
        yield
    module.train()
