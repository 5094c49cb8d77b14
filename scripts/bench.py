"""Ours beside the official package, in one run: both stay loaded and take turns, so a noisy machine is noisy for both.

    python scripts/bench.py --against official [--oracle PYTHON] [--model english] [--threads N] [--rounds 7] [--json]

The model has random weights at real sizes (bf16, as the official files are); temperature 0, no EOS. PYTHON is an interpreter with
torch==2.13.0 and pocket-tts==4.0.1; without one, an environment is made for it, which `make parity` shares.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TEXT = "The quick brown fox jumps over the lazy dog, and then it walks home through the quiet streets of the old town."
METRICS = {
    "step": "flow LM step with flow net, ms",
    "mimi": "Mimi decode of a frame, ms",
    "prefill": "prefill, ms per token",
    "voice": "encode a 10 s voice, s",
    "ttfa": "text to first audio, ms",
    "rtf": "RTF",
}
FRAMES, TOKENS = 25, 100  # of one measurement


class Ours:
    def __init__(self, folder: str, threads: int) -> None:
        import numpy as np

        from pockettts import TTSModel

        self.np = np
        self.model = TTSModel.load(config=f"{folder}/config.yaml", temperature=0, eos_threshold=1e9, threads=threads or None)
        self.prompt = prompt(10).astype(np.float32)
        self.state = self.model.get_voice_state(self.prompt)

    def cache(self):
        from pockettts.model.state import KVCache

        return [KVCache.restore(rows, 400) for rows in self.state.layers]

    def step(self) -> float:
        lm, state, noise = self.model.flow_lm, self.cache(), self.np.zeros((1, 32), self.np.float32)
        latent = lm.sample(lm.step(None, state), noise)
        start = time.perf_counter()
        for _ in range(FRAMES):
            latent = lm.sample(lm.step(latent, state), noise)
        return (time.perf_counter() - start) / FRAMES * 1e3

    def mimi(self) -> float:
        decoder, latent = self.model.decoder, self.np.zeros((1, 32), self.np.float32)
        state = decoder.init_state()
        decoder(latent, state)
        start = time.perf_counter()
        for _ in range(FRAMES):
            decoder(latent, state)
        return (time.perf_counter() - start) / FRAMES * 1e3

    def prefill(self) -> float:
        lm, state = self.model.flow_lm, self.cache()
        start = time.perf_counter()
        lm.prefill(lm.embed_text(list(range(TOKENS))), state)
        return (time.perf_counter() - start) / TOKENS * 1e3

    def voice(self) -> float:
        start = time.perf_counter()
        self.model.get_voice_state(self.prompt)
        return time.perf_counter() - start

    def stream(self):
        return self.model.generate_stream(TEXT, self.state)

    rate = 24_000


class Official:
    rate = 24_000

    def __init__(self, folder: str, threads: int) -> None:
        import torch
        from pocket_tts import TTSModel

        self.torch = torch
        os.chdir(folder)  # where the config's relative paths lead from
        if threads:  # as shipped it uses one thread for the flow LM and one for Mimi
            torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.model = TTSModel.load_model(config="config.yaml", temp=0.0, eos_threshold=1e9)
        self.prompt = torch.from_numpy(prompt(10)).float()[None]
        self.state = self.model.get_state_for_audio_prompt(self.prompt)

    def cache(self):
        import copy

        state = copy.deepcopy(self.state)
        self.model._expand_kv_cache(state, 600)
        return state

    def step(self) -> float:
        m, state = self.model, self.cache()
        latent = self.torch.full((1, 1, 32), float("nan"))
        latent, _ = m._run_flow_lm_and_increment_step(model_state=state, backbone_input_latents=latent)
        start = time.perf_counter()
        for _ in range(FRAMES):
            latent, _ = m._run_flow_lm_and_increment_step(model_state=state, backbone_input_latents=latent)
        return (time.perf_counter() - start) / FRAMES * 1e3

    def mimi(self) -> float:
        from pocket_tts.modules.stateful_module import increment_steps, init_states

        mimi, latent = self.model.mimi, self.torch.zeros(1, 1, 32)
        state = init_states(mimi, 1, 16 * (FRAMES + 1))
        mimi.decode_from_latent(latent, state)
        increment_steps(mimi, state, 16)
        start = time.perf_counter()
        for _ in range(FRAMES):
            mimi.decode_from_latent(latent, state)
            increment_steps(mimi, state, 16)
        return (time.perf_counter() - start) / FRAMES * 1e3

    def prefill(self) -> float:
        state, ids = self.cache(), self.torch.arange(TOKENS)[None]
        start = time.perf_counter()
        self.model._run_flow_lm_and_increment_step(model_state=state, text_tokens=ids)
        return (time.perf_counter() - start) / TOKENS * 1e3

    def voice(self) -> float:
        start = time.perf_counter()
        self.model.get_state_for_audio_prompt(self.prompt)
        return time.perf_counter() - start

    def stream(self):
        return self.model.generate_audio_stream(self.state, TEXT)


def ttfa(side: Ours | Official) -> float:
    start = time.perf_counter()
    stream = iter(side.stream())
    next(stream)
    seconds = time.perf_counter() - start
    for _ in stream:  # the official package's threads can't be left alone
        pass
    return seconds * 1e3


def rtf(side: Ours | Official) -> float:
    start = time.perf_counter()
    samples = sum(len(block) for block in side.stream())
    return (time.perf_counter() - start) / (samples / side.rate)


def prompt(seconds: float):
    """A siren in place of a speaker: random weights don't mind."""
    import numpy as np

    t = np.arange(int(seconds * 24_000)) / 24_000
    return 0.3 * np.sin(2 * np.pi * (120 + 6 * t) * t) * (0.6 + 0.4 * np.sin(6 * np.pi * t))


def worker(side: str, folder: str, threads: int) -> None:
    """Load one side, then measure what each line of stdin names."""
    out, sys.stdout = sys.stdout, sys.stderr
    subject = {"ours": Ours, "official": Official}[side](folder, threads)
    for line in sys.stdin:
        metric = line.strip()
        value = {"ttfa": ttfa, "rtf": rtf}[metric](subject) if metric in ("ttfa", "rtf") else getattr(subject, metric)()
        print(json.dumps(value), file=out, flush=True)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--against", choices=["official"], required=True)
    p.add_argument("--oracle", help="a Python that has the official package; a venv is made for it otherwise")
    p.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "pockettts-parity", help="folder of that venv")
    p.add_argument("--model", default="english")
    p.add_argument("--threads", type=int, default=0, help="of both sides; by default as each is shipped")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--json", action="store_true")
    p.add_argument("--worker", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.worker:
        return worker(*a.worker, a.threads)

    from parity import oracle_python

    a.keep.mkdir(parents=True, exist_ok=True)
    python = a.oracle or oracle_python(a.keep.resolve())
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, HERE / "oracle.py", "make", a.model, folder, "--bf16"], check=True, stdout=sys.stderr)
        start = lambda python, side: subprocess.Popen(  # noqa: E731
            [python, __file__, "--against", a.against, "--threads", str(a.threads), "--worker", side, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        sides = {"ours": start(sys.executable, "ours"), "official": start(python, "official")}
        rows = {metric: measure(sides, metric, a.rounds) for metric in METRICS}
        for process in sides.values():
            process.stdin.close()
            process.wait()
    if a.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{a.model}, bf16 weights, {a.rounds} rounds in turn: median (least - most)\n")
    print(f"{'':32}{'ours':>22}{'official':>24}   ratio")
    for metric, row in rows.items():
        show = lambda v: f"{statistics.median(v):.3g} ({min(v):.3g} - {max(v):.3g})"  # noqa: E731
        print(f"{METRICS[metric]:32}{show(row['ours']):>22}{show(row['official']):>24}{row['ratio']:8.2f}")


def measure(sides: dict[str, subprocess.Popen], metric: str, rounds: int) -> dict:
    """Values of both sides, one warm-up first, and the median of the ratios of neighbours."""
    values: dict = {side: [] for side in sides}
    for i in range(rounds + 1):
        for side, process in sides.items():
            process.stdin.write(metric + "\n")
            process.stdin.flush()
            value = json.loads(process.stdout.readline() or sys.exit(f"{side}: failed at {metric}"))
            if i:
                values[side].append(value)
    values["ratio"] = statistics.median(theirs / ours for theirs, ours in zip(values["official"], values["ours"], strict=True))
    return values


if __name__ == "__main__":
    main()
