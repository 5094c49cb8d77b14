"""Draw the waveform of a sound above its spectrogram, as a small PNG.

pockettts "Hello, world!" -o hello.wav --variant mini --seed 1 && python scripts/picture.py hello.wav docs/hello.png
"""

import argparse
import struct
import zlib
from pathlib import Path

import numpy as np
import soundfile

WIDTH, WAVE, SPECTRUM, EDGE = 960, 120, 256, 8  # pixels
BACKGROUND, INK = (255, 255, 255), (38, 70, 140)
COLORS = np.array([(12, 8, 40), (70, 20, 110), (180, 50, 90), (250, 150, 50), (255, 250, 190)], float)  # quiet to loud
RANGE, TOP = 70, 8000  # dB covered by the colors, Hz at the upper edge


def waveform(sound: np.ndarray) -> np.ndarray:
    """uint8 [WAVE, WIDTH, 3]: the range of samples in each column of pixels."""
    image = np.full((WAVE, WIDTH, 3), BACKGROUND, np.uint8)
    scale = (WAVE / 2 - 2) / np.abs(sound).max()
    for column, samples in enumerate(np.array_split(sound, WIDTH)):
        low, high = round(WAVE / 2 - scale * samples.max()), round(WAVE / 2 - scale * samples.min())
        image[low : high + 1, column] = INK
    return image


def spectrogram(sound: np.ndarray, rate: int) -> np.ndarray:
    """uint8 [SPECTRUM, WIDTH, 3]: windows of 25 ms, 0 Hz at the bottom."""
    size = round(0.025 * rate)
    padded = np.pad(sound, size // 2)
    starts = np.linspace(0, len(padded) - size, WIDTH).astype(int)
    windows = np.stack([padded[start : start + size] for start in starts]) * np.hanning(size)
    power = 10 * np.log10(np.square(np.abs(np.fft.rfft(windows, 4096))) + 1e-12)
    rows = np.linspace(TOP, 0, SPECTRUM) * 4096 / rate
    levels = power[:, rows.astype(int)].T
    shade = np.clip((levels - levels.max() + RANGE) / RANGE, 0, 1) * (len(COLORS) - 1)
    return np.stack([np.interp(shade, range(len(COLORS)), COLORS[:, c]) for c in range(3)], axis=-1).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    """Encode an 8-bit RGB image [height, width, 3] as PNG (PNG specification, 5.2; each row without a filter)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sound", type=Path)
    parser.add_argument("picture", type=Path)
    args = parser.parse_args()
    sound, rate = soundfile.read(args.sound, dtype="float32")
    edge = np.full((EDGE, WIDTH, 3), BACKGROUND, np.uint8)
    image = np.concatenate([waveform(sound), edge, spectrogram(sound, rate)]) // 8 * 8  # fewer shades: a smaller file
    args.picture.write_bytes(png(image))


if __name__ == "__main__":
    main()
