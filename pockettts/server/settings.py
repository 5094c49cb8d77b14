"""The settings of a server, which the operator chooses."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    host: str = "127.0.0.1"
    port: int = 8000
    wyoming_port: int | None = None  # of the Wyoming protocol; None: not served
    zeroconf: str | None = None  # the name under which the Wyoming server is announced in the local network
    max_streams: int = 8  # texts that are spoken at once
    max_queue: int = 32  # texts that wait for a place
    max_models: int | None = None  # models in memory at once; None: all
    max_text: int = 20_000  # characters
    max_upload: int = 20 << 20  # bytes of a voice
    max_seconds: float = 1800  # for a request, from its arrival to its last byte
    drain_seconds: float = 30  # for responses in progress when the server is stopped
    api_key: str | None = None
    cors: tuple[str, ...] = ()  # other origins whose web pages may use the server; "*" means all
    remote_voices: bool = False  # whether a request may name a voice by a URL
    voice: str | None = None  # of requests that name none, as for `TTSModel.get_voice_state`; None: the model's own
    voice_map: dict[str, str] = field(default_factory=dict)  # names of voices in other systems -> names here
    voices_dir: Path | None = None  # the folder of own voices; None: the user's
    allow_uploads: bool = False  # whether clients may add voices to that folder, and remove those
    max_uploaded: int = 100  # voices that clients may add

    @property
    def max_body(self) -> int:
        """Bytes of a request's body: an upload in base64 and a text."""
        return self.max_upload * 4 // 3 + 6 * self.max_text + (64 << 10)

    @property
    def max_uploaded_bytes(self) -> int:
        """Bytes of all voices that clients have added."""
        return 10 * self.max_upload
