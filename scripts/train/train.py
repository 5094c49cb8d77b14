"""Train a voice from a folder of recordings: run all steps that are not done yet, in order.

    python train.py WORK --speech FOLDER --texts texts.tsv --minutes 1200      # two cores and a day
    python train.py WORK --speech FOLDER --texts texts.tsv --minutes 10        # a GPU and ten minutes

--speech: folders or tar files of recordings. texts.tsv: their names, voices and sentences (README.md). Run the command
again to continue, or with more minutes to train longer. SIGTERM and Ctrl-C save the training and end it. --steps runs
only some of:

    corpus      WORK/run from the recordings, WORK/also from eSpeak NG's speech of other sentences (--robot)
    phones      WORK/phones.tsv
    features    train the middle part of Mimi; write the latents of all corpora
    align       find when each letter and phone is spoken
    synthetic   WORK/synth: sentences of the table without recordings
    lm          train the flow LM: text -> latents
    gta         write the flow LM's guesses of the latents
    decoder     train the decoder: latents -> sound
    distill     train the flow net for one step per latent
    encoder     train the encoder: sound -> latents
    export      write WORK/run/mini
    judge       word error rate, DNSMOS (only with --steps)
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from checkpoint import NAMES as CHECKPOINT_NAMES
from training import default_device

HERE = Path(__file__).parent
SHARES = {"features": 0.05, "lm": 0.6, "decoder": 0.28, "distill": 0.03, "encoder": 0.04}  # shares of the minutes
PARALLEL = ("lm", "decoder")  # trained by one process per core on a CPU


class Driver:
    """Runs the steps; each is a method."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.work = args, args.work
        self.run, self.also, self.synthetic_corpus = (args.work / name for name in ("run", "also", "synth"))
        self.texts = args.texts or args.work / "texts.tsv"

    @property
    def corpora(self) -> list[Path]:
        """The corpora with recordings; the first one has the voice to learn."""
        return [self.run, *([self.also] if (self.also / "corpus.npz").exists() else [])]

    def corpus(self) -> None:
        table, common = self.run / "corpus.npz", ["--texts", self.texts, "--config", self.args.config]
        if not table.exists() and not self.args.speech:
            raise SystemExit(f"{table} is missing: give --speech, the folder of recordings, and --texts")
        if not table.exists():
            call("corpus.py", self.run, *self.args.speech, *common)
        if self.args.robot and not (self.also / "corpus.npz").exists():
            robot = ["--count", self.args.robot, "--language", self.args.espeak]
            call("robot.py", self.texts, self.work / "espeak", "--without", *self.args.speech, *robot)
            call("corpus.py", self.also, self.work / "espeak", "--voice", "robot", *common)
        for name in CHECKPOINT_NAMES if self.args.checkpoint else ():
            source, target = self.args.checkpoint / f"{name}.pt", self.run / f"{name}.pt"
            if source.exists() and not target.exists():
                shutil.copyfile(source, target)

    def phones(self) -> None:
        if not (self.work / "phones.tsv").exists():
            call("phonemes.py", self.texts, self.work, "--language", self.args.espeak)

    def features(self) -> None:
        """Existing latents are never changed, since later steps were trained on them."""
        if all((corpus / "latents.npy").exists() for corpus in self.corpora):
            return
        fixed = (self.run / "latents.npy").exists() or (self.run / "lm.pt").exists()
        self._train("features", 0 if fixed else self._minutes("features"), "--also", *self.corpora[1:])

    def align(self) -> None:
        for corpus in self.corpora:
            if not (corpus / "phones.npy").exists():
                call("align.py", corpus, "--phones", self.work, "--device", self.args.device)

    def synthetic(self) -> None:
        if self.args.synthetic and not (self.synthetic_corpus / "corpus.npz").exists():
            options = ["--texts", self.texts, "--phones", self.work, "--count", self.args.synthetic]
            call("synthetic.py", self.run, self.synthetic_corpus, *options)

    def lm(self) -> None:
        also = [*self.corpora[1:], self.synthetic_corpus]
        also = [corpus for corpus in also if (corpus / "corpus.npz").exists()]
        self._train("lm", self._minutes("lm"), *(["--also", *also] if also else []))

    def gta(self) -> None:
        if not is_newer(self.run / "gta.npy", self.run / "lm.pt"):
            call("gta.py", self.run, "--device", self.args.device)

    def decoder(self) -> None:
        self._train("decoder", self._minutes("decoder"))

    def distill(self) -> None:
        if not is_newer(self.run / "lm_final.pt", self.run / "lm.pt"):
            self._train("distill", self._minutes("distill"))

    def encoder(self) -> None:
        self._train("encoder", self._minutes("encoder"))

    def export(self) -> None:
        call("export.py", self.run, "--temperature", self.args.temperature, "--language", self.args.language)

    def judge(self) -> None:
        call("judge.py", self.run, "--texts", self.texts)

    def _minutes(self, step: str) -> float:
        return float(SHARES[step] * self.args.minutes)

    def _train(self, step: str, minutes: float, *options: object) -> None:
        processes = self.args.processes if step in PARALLEL and self.args.device == "cpu" else 1
        call(f"{step}.py", self.run, "--minutes", minutes, "--device", self.args.device, *options, processes=processes)


STEPS: dict[str, Callable[[Driver], None]] = {
    "corpus": Driver.corpus,
    "phones": Driver.phones,
    "features": Driver.features,
    "align": Driver.align,
    "synthetic": Driver.synthetic,
    "lm": Driver.lm,
    "gta": Driver.gta,
    "decoder": Driver.decoder,
    "distill": Driver.distill,
    "encoder": Driver.encoder,
    "export": Driver.export,
    "judge": Driver.judge,
}


def is_newer(product: Path, source: Path) -> bool:
    return product.exists() and product.stat().st_mtime >= source.stat().st_mtime


def call(script: str, *arguments: object, processes: int = 1) -> None:
    """Run a script, in one or several processes with shared gradients. Exits if it fails or is terminated."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    print(f"== {' '.join([script, *map(str, arguments)])}", flush=True)
    children = [subprocess.Popen(command, env=os.environ | own) for own in environments(processes)]

    def forward(number: int, frame: FrameType | None) -> None:
        for child in children:
            child.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    statuses = [child.wait() for child in children]
    if any(statuses):
        raise SystemExit(f"{script} exited with status {max(statuses, key=abs)}")


def environments(processes: int) -> list[dict[str, str]]:
    """The environment variables of torch.distributed for each process."""
    if processes == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [shared | {"RANK": str(rank), "OMP_NUM_THREADS": "1"} for rank in range(processes)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="output folder")
    parser.add_argument("--speech", type=Path, nargs="+", default=[], help="folders or tar files of recordings")
    parser.add_argument("--texts", type=Path, help="default: WORK/texts.tsv")
    parser.add_argument("--minutes", type=float, default=1200, help="total of all trainings; default: 1200")
    parser.add_argument("--steps", help="only these, separated by commas; default: all but judge")
    parser.add_argument("--robot", type=int, default=0, metavar="N", help="speak N other sentences with eSpeak NG")
    parser.add_argument(
        "--synthetic", type=int, default=26_000, metavar="N", help="use up to N sentences without speech"
    )
    parser.add_argument("--checkpoint", type=Path, help="continue from this folder (checkpoint.py)")
    parser.add_argument("--config", type=Path, default=HERE / "mini.yaml", help="the architecture")
    parser.add_argument("--device", default=default_device(), help="cpu or cuda")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="processes for lm and decoder on a CPU")
    parser.add_argument("--espeak", default="en-us", metavar="VOICE", help="voice of eSpeak NG for the phones")
    parser.add_argument("--language", default="english", help="language of the reading rules in pockettts")
    parser.add_argument("--temperature", type=float, default=0.1, help="the model's default temperature")
    args = parser.parse_args()
    steps = args.steps.split(",") if args.steps else [step for step in STEPS if step != "judge"]
    if unknown := [step for step in steps if step not in STEPS]:
        parser.error(f"unknown step {unknown[0]!r}; use {', '.join(STEPS)}")
    args.work.mkdir(parents=True, exist_ok=True)
    driver = Driver(args)
    for step in steps:
        STEPS[step](driver)


if __name__ == "__main__":
    main()
