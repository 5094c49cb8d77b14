"""The other implementations that scripts/bench.py compares with. They run in their own Python, so this imports nothing of pockettts.

    python scripts/rivals.py official|onnxruntime MODEL.yaml PLAN [--fresh]

Each line of stdin names a measure to run (`answer`). With --fresh it speaks once instead, and writes a byte to stdout for each block.
PLAN is a JSON file with: text, eos_threshold, frames_after_eos, frames, tokens, text_tokens, voice_rows, prompt [samples], threads (0: as shipped), int8.
"""

import copy
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path


class Official:
    """The official package, as shipped: a thread for the flow LM, a thread for Mimi."""

    def __init__(self, path: Path, plan: dict) -> None:
        import torch
        from pocket_tts import TTSModel

        self.torch, self.plan = torch, plan
        if plan["threads"]:
            torch.set_num_threads(plan["threads"])
        torch.set_grad_enabled(False)
        os.chdir(path.parent)  # the config's paths are relative to it
        self.model = TTSModel.load_model(
            config=path.name, temp=0.0, eos_threshold=plan["eos_threshold"], quantize=plan["int8"]
        )
        self.state = self.model.get_state_for_audio_prompt("voice.safetensors")

    def frames(self) -> dict[str, float]:
        state, latent = self._room(), self.torch.full((1, 1, self.model.flow_lm.ldim), float("nan"))
        latent, _ = self.model._run_flow_lm_and_increment_step(state, backbone_input_latents=latent)
        start = time.perf_counter()
        for _ in range(self.plan["frames"]):
            latent, _ = self.model._run_flow_lm_and_increment_step(state, backbone_input_latents=latent)
        return {"latent": (time.perf_counter() - start) / self.plan["frames"]}

    def mimi(self) -> dict[str, float]:
        from pocket_tts.modules.stateful_module import increment_steps, init_states

        mimi, latent = self.model.mimi, self.torch.zeros(1, 1, self.model.flow_lm.ldim)
        positions = int(mimi.encoder_frame_rate / mimi.frame_rate)
        state = init_states(mimi, 1, positions * (self.plan["frames"] + 1))
        times = []
        for _ in range(self.plan["frames"] + 1):
            mimi.decode_from_latent(latent, state)
            increment_steps(mimi, state, positions)
            times.append(time.perf_counter())
        return {"mimi": (times[-1] - times[0]) / self.plan["frames"]}

    def prefill(self) -> dict[str, float]:
        state, ids = self._room(), self.torch.arange(self.plan["tokens"])[None]
        start = time.perf_counter()
        self.model._run_flow_lm_and_increment_step(state, text_tokens=ids)
        return {"prefill": (time.perf_counter() - start) / self.plan["tokens"]}

    def clone(self) -> dict[str, float]:
        samples = self.torch.tensor(self.plan["prompt"])[None]
        start = time.perf_counter()
        self.model.get_state_for_audio_prompt(samples)
        return {"voice": time.perf_counter() - start}

    def speak(self) -> dict[str, float]:
        start, first, samples = time.perf_counter(), 0.0, 0
        for block in self.model.generate_audio_stream(
            self.state, self.plan["text"], frames_after_eos=self.plan["frames_after_eos"]
        ):
            first = first or time.perf_counter() - start
            samples += len(block)
        return {"ttfa": first, "rtf": (time.perf_counter() - start) / (samples / self.model.sample_rate)}

    def speak_in_new_process(self) -> None:
        for block in self.model.generate_audio_stream(
            self.state, self.plan["text"], frames_after_eos=self.plan["frames_after_eos"]
        ):
            os.write(1, b"." * (len(block) > 0))

    def _room(self) -> dict:
        state = copy.deepcopy(self.state)
        self.model._expand_kv_cache(state, self.plan["voice_rows"] + self.plan["tokens"] + self.plan["frames"] + 1)
        return state


class OnnxRuntime:
    """ONNX Runtime on the graphs of export_onnx.py. Only frames are measured, without the prefill of the text."""

    def __init__(self, path: Path, plan: dict) -> None:
        import numpy as np

        self.np, self.plan, self.folder = np, plan, path.parent
        self.threads = plan["threads"] or (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        )
        self.step, self.decoder = self._sessions(self.threads)
        self.past = [i for i in self.step.get_inputs() if i.name.startswith("past")]
        self.rows = plan["voice_rows"] + plan["text_tokens"]
        rng = np.random.default_rng(0)
        self.voice = [rng.standard_normal((self.rows, *i.shape[1:]), np.float32) for i in self.past]
        self.alone = None

    def _sessions(self, threads: int) -> list:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        return [
            onnxruntime.InferenceSession(
                self.folder / f"{name}{'_int8' * self.plan['int8']}.onnx", options, providers=["CPUExecutionProvider"]
            )
            for name in ("step", "decoder")
        ]

    def latents(self, session, n: int):
        """Generate n latents."""
        np = self.np
        caches = [np.concatenate([rows, np.empty((n, *rows.shape[1:]), np.float32)]) for rows in self.voice]
        latent = np.zeros(session.get_inputs()[0].shape, np.float32)
        for end in range(self.rows, self.rows + n):
            feed = {i.name: cache[:end] for i, cache in zip(self.past, caches, strict=True)}
            feed |= dict(latent=latent, noise=np.zeros_like(latent), position=np.array([end], np.float32))
            latent, _, *new = session.run(None, feed)
            for cache, row in zip(caches, new, strict=True):
                cache[end] = row[0]
            yield latent

    def blocks(self, session, latents):
        """Samples for each latent."""
        np = self.np
        states = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()[2:]}
        for i, latent in enumerate(latents):
            samples, *new = session.run(
                None, dict(latent=latent[None], position=np.array([16 * i], np.float32)) | states
            )
            states = dict(zip(states, new, strict=True))
            yield samples

    def frames(self) -> dict[str, float]:
        return {"latent": self._pace(self.latents(self.step, self.plan["frames"] + 1))}

    def mimi(self) -> dict[str, float]:
        latent = self.np.zeros(self.step.get_inputs()[0].shape, self.np.float32)
        return {"mimi": self._pace(self.blocks(self.decoder, [latent] * (self.plan["frames"] + 1)))}

    def _pace(self, items) -> float:
        """Seconds per item, without the first one."""
        next(items)
        start = time.perf_counter()
        for _ in items:
            pass
        return (time.perf_counter() - start) / self.plan["frames"]

    def speak(self) -> dict[str, float]:
        """The frames of the text, with the faster of two schedules: in turn on all threads, or concurrently with one thread each."""
        n = self.plan["frames_after_eos"] + 6
        self.alone = self.alone or self._sessions(1)
        start = time.perf_counter()
        samples = sum(map(self.np.size, self.blocks(self.decoder, self.latents(self.step, n))))
        in_turn = time.perf_counter() - start
        ahead = queue.Queue()

        def fill() -> None:
            for latent in self.latents(self.alone[0], n):
                ahead.put(latent)

        start = time.perf_counter()
        worker = threading.Thread(target=fill)
        worker.start()
        for _ in self.blocks(self.alone[1], (ahead.get() for _ in range(n))):
            pass
        worker.join()
        return {"rtf": min(in_turn, time.perf_counter() - start) / (samples / 24_000)}

    def speak_in_new_process(self) -> None:
        for _ in self.blocks(self.decoder, self.latents(self.step, self.plan["frames_after_eos"] + 6)):
            os.write(1, b".")


def answer(subject, out) -> None:
    """For each line of stdin, call the method of `subject` with that name and write its result as a line of JSON."""
    for line in sys.stdin:
        print(json.dumps(getattr(subject, line.strip())()), file=out, flush=True)


def main() -> None:
    out, sys.stdout = sys.stdout, sys.stderr
    name, path, plan, *fresh = sys.argv[1:]
    subject = {"official": Official, "onnxruntime": OnnxRuntime}[name](Path(path), json.loads(Path(plan).read_text()))
    if fresh:
        subject.speak_in_new_process()
    else:
        answer(subject, out)


if __name__ == "__main__":
    main()
