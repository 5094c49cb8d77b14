import copy
import dataclasses
import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hub_server import HubServer

import pockettts
from pockettts.config.load import download_model, is_downloaded, load_config, model_names
from pockettts.config.schema import Config
from pockettts.errors import ConfigError, DownloadError, VoiceError

# Values of the official package 4.0.1: its parsed YAML files, its default voices, and the files of its voices.
OFFICIAL = json.loads(gzip.decompress((Path(__file__).parent / "data/official_configs.json.gz").read_bytes()))
OURS = {
    "description",
    "voice_cloning",
    "name",
    "language",
    "default_voice",
    "voices_path",
    "voice_names",
    "parameters",
    "alignment_heads",
    "alignment_lead",
}
CONFIGS = Path(pockettts.__file__).parent / "config"
ENGLISH = yaml.safe_load((CONFIGS / "english.json").read_text("utf-8"))
SEANET = ENGLISH["mimi"]["seanet"]


def official_part(config: Config) -> dict:
    facts = {key: value for key, value in dataclasses.asdict(config).items() if key not in OURS}
    return json.loads(json.dumps(facts))


def changed(changes: dict) -> str:
    """The YAML of `english` with {"dotted.key": value} changed; ... as value removes the key."""
    data = copy.deepcopy(ENGLISH)
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = data
        for parent in parents:
            section = section.setdefault(parent, {})
        if value is ...:
            del section[last]
        else:
            section[last] = value
    return yaml.safe_dump(data, allow_unicode=True)


@pytest.fixture
def custom(tmp_path):
    def write(text: str | bytes, name: str = "my.yaml") -> Path:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write


def error_of(source) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(source)
    message = str(error.value)
    assert "\n" not in message and len(message) < 700
    return message


# the known models


def test_the_27_official_models_and_the_first_release():
    assert model_names() == sorted([*OFFICIAL, "b6369a24", "mini"]) and len(OFFICIAL) == 27


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_model_has_the_official_values(name):
    config, official = load_config(name), OFFICIAL[name]
    assert official_part(config) == official["config"]
    assert config.name == name and config.language == name.split("_")[0]
    assert config.default_voice == official["default_voice"]
    assert config.voices_path.replace("{voice}", "alba") == official["voice"] and config.voice_names is None
    assert config.mimi.transformer.output_dimensions == (512,) and config.mimi.seanet.ratios == [6, 5, 4]


def test_the_first_release():
    first, later = load_config("b6369a24"), load_config("english_2026-01")
    assert first.default_temperature == 0.7 and first.default_voice == "alba" and first.parameters == later.parameters
    assert first.voice_names == ["alba", "marius", "javert", "jean", "fantine", "cosette", "eponine", "azelma"]
    for repo, path in [("", first.weights_path), ("-without-voice-cloning", first.weights_path_without_voice_cloning)]:
        assert path.startswith(f"hf://kyutai/pocket-tts{repo}/tts_b6369a24.safetensors@")
    assert first.flow_lm.lookup_table.tokenizer == "sentencepiece"
    same = ("pad_with_spaces_for_short_inputs", "remove_semicolons", "replace_characters", "capitalize_first_letter")
    assert all(getattr(first, key) == getattr(later, key) for key in same)
    for key in ("flow", "transformer", "z_dim", "insert_bos_before_voice"):
        assert getattr(first.flow_lm, key) == getattr(later.flow_lm, key)
    assert dataclasses.replace(later.mimi, inner_dim=None, outer_dim=None) == first.mimi


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("english", 109_502_146), ("english_2026-01", 117_856_962), ("french_24l", 336_068_290),
        ("english_drifting_26-09", 108_712_386), ("english_18m_2026-10", 27_923_058),
        ("english_7m_refl_2026-10", 16_611_666), ("english_2m_2026-10", 11_671_934),
    ],
)  # fmt: skip
def test_parameters_as_counted_in_the_official_model(name, parameters):
    assert load_config(name).parameters == parameters


def test_the_file_of_a_known_model_is_yaml_too():
    for name in {*model_names()} - {"mini"}:
        assert load_config(CONFIGS / f"{name}.json") == load_config(name)


def test_a_known_model_needs_no_yaml():
    code = "import sys; from pockettts.config.load import load_config; print(load_config('english').name, 'yaml' in sys.modules)"
    env = os.environ | {"PYTHONPATH": str(CONFIGS.parents[1])}
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env).stdout
        == "english False\n"
    )


def test_every_file_of_a_known_model_is_pinned():
    for name in {*model_names()} - {"mini"}:
        c = load_config(name)
        table = c.flow_lm.lookup_table
        for path in (c.weights_path, c.weights_path_without_voice_cloning, table.tokenizer_path, c.voices_path):
            assert path.startswith("hf://kyutai/pocket-tts") and len(path.partition("@")[2]) == 40


@pytest.mark.parametrize(
    ("name", "near"),
    [("englsh", "english"), ("frnch", "french"), ("2m", "english_2m_2026-10"), ("english_2M_2026-10", "english_2m"),
     ("b6369a25", "b6369a24"), ("klingon", "pockettts models"), ("", "pockettts models"), ("x" * 10_000, "no model")],
)  # fmt: skip
def test_an_unknown_model_suggests_similar_names(name, near):
    assert near in error_of(name)


# custom YAML


def test_a_custom_config(custom):
    path = custom(changed({}))
    config = load_config(path)
    assert dataclasses.replace(config, name="english") == load_config("english") and config.name == "my"
    assert load_config(str(path)) == config
    assert load_config(custom(changed({"name": "mini"}))).name == "mini"
    assert load_config(custom(changed({}), "a@b.c.yml")).name == "a@b.c"


def test_defaults(custom):
    text = changed({key: ... for key in ENGLISH if key not in ("flow_lm", "mimi")} | {"mimi.outer_dim": None})
    config = load_config(custom(text))
    assert (config.default_temperature, config.default_eos_threshold, config.replace_characters) == (0.3, -4.0, {})
    assert config.append_terminal_punctuation and config.capitalize_first_letter and not config.remove_semicolons
    assert config.flow_lm.flow.type == "lsd" and config.mimi.transformer.max_period == 10000.0
    assert config.weights_path is config.mimi.outer_dim is config.parameters is config.language is None


def test_numbers_in_several_notations(custom):
    text = changed(
        {"mimi.transformer.layer_scale": "1e-2", "flow_lm.transformer.max_period": "1e4", "mimi.frame_rate": 25}
    )
    config = load_config(custom(text))
    assert config.mimi.transformer.layer_scale == 0.01
    assert config.flow_lm.transformer.max_period == 10000 and type(config.flow_lm.transformer.max_period) is int
    assert config.mimi.frame_rate == 25.0 and type(config.mimi.frame_rate) is float


def test_a_decoder_with_its_own_shape(custom):
    small = load_config("english_2m_2026-10").mimi
    assert small.decoder_seanet.n_filters == 24 and small.decoder_transformer.context == 50
    changes = {"mimi.decoder_seanet": SEANET | {"ratios": [4, 6, 5], "pad_mode": "replicate"}}
    assert load_config(custom(changed(changes))).mimi.decoder_seanet.ratios == [4, 6, 5]


def test_relative_paths_start_at_the_working_directory_or_at_the_yaml(custom, tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    Path("here.model").touch()
    changes = {
        "weights_path": "weights/model.safetensors",
        "flow_lm.lookup_table.tokenizer_path": "here.model",
        "mimi.weights_path": "hf://a/b/c.safetensors",
        "weights_path_without_voice_cloning": "/somewhere/open.safetensors",
        "voices_path": "voices/{voice}.wav",
    }
    config = load_config(custom(changed(changes)))
    assert config.weights_path == str(tmp_path / "weights/model.safetensors")
    assert config.flow_lm.lookup_table.tokenizer_path == "here.model"
    assert config.mimi.weights_path == "hf://a/b/c.safetensors"
    assert config.weights_path_without_voice_cloning == "/somewhere/open.safetensors"
    assert config.voices_path == str(tmp_path / "voices/{voice}.wav") and config.name == "my"


def test_a_config_from_the_hub_or_the_web(monkeypatch, tmp_path):
    with HubServer() as hub:
        hub.point(monkeypatch, tmp_path)
        hub.add("me/voices", "models/tiny.yaml", changed({}).encode())
        assert load_config("hf://me/voices/models/tiny.yaml").name == "tiny"
        assert load_config("hf://me/voices/models/tiny.yaml@main").name == "tiny"
        assert load_config(hub.add_page("tiny.yml", changed({}).encode()) + "?x=a/b.c").name == "tiny"
        url = hub.add_page("bad.yaml", b"mimi: 2\nflow_lm: 1")
        assert error_of(url).startswith(f"{url}: mimi: must be a section")


@pytest.mark.parametrize("source", [Path("english"), "models/english", "hf://a/b/config.toml", "./english.txt"])
def test_only_yaml_is_a_config(source):
    assert "not a config" in error_of(source)


def test_a_missing_yaml_file():
    with pytest.raises(DownloadError, match="nope.yaml: no such file"):
        load_config("nope.yaml")


# wrong YAML: (what is changed, what the message says)

WRONG = [
    ({"flow_lm.flow.typ": "lsd"}, "flow_lm.flow.typ: no such key; did you mean type?"),
    ({"default_temprature": 1}, "default_temprature: no such key; did you mean default_temperature?"),
    ({"mimi.quantizer.zzz": 1}, "mimi.quantizer.zzz: no such key; remove it, or use dimension or output_dimension"),
    ({"flow_lm.flow.dim": ...}, "flow_lm.flow.dim: missing; add a whole number"),
    ({"mimi": ...}, "mimi: missing; add it"),
    ({"mimi.seanet": None}, "mimi.seanet: must be a section"),
    ({"mimi.seanet": [1]}, "mimi.seanet: must be a section of keys and values, not [1]"),
    ({"flow_lm.flow.dim": "big"}, "flow_lm.flow.dim: must be a whole number, not 'big'"),
    ({"flow_lm.flow.dim": "512"}, "flow_lm.flow.dim: must be a whole number, not '512'"),
    ({"flow_lm.flow.dim": 51.2}, "flow_lm.flow.dim: must be a whole number, not 51.2"),
    ({"flow_lm.flow.dim": True}, "flow_lm.flow.dim: must be a whole number, not True"),
    ({"flow_lm.flow.dim": None}, "flow_lm.flow.dim: must be a whole number, not None"),
    ({"flow_lm.flow.dim": float("inf")}, "flow_lm.flow.dim: must be a whole number, not inf"),
    ({"flow_lm.flow.dim": -512}, "flow_lm.flow.dim: -512 makes no sense; give a number from 1 to 1,000,000"),
    ({"flow_lm.flow.dim": 10**12}, "flow_lm.flow.dim: 1000000000000 makes no sense"),
    ({"flow_lm.transformer.num_layers": 0}, "flow_lm.transformer.num_layers: 0 makes no sense"),
    ({"flow_lm.transformer.num_layers": 10**5}, "flow_lm.transformer.num_layers: 100000 makes no sense"),
    ({"default_temperature": float("nan")}, "default_temperature: nan makes no sense"),
    ({"default_temperature": float("inf")}, "default_temperature: inf makes no sense"),
    ({"default_temperature": "1e999"}, "default_temperature: inf makes no sense"),
    ({"default_temperature": 10**400}, "default_temperature: must be a number"),
    ({"default_temperature": -0.1}, "default_temperature: -0.1 makes no sense; give a number from 0 to 100"),
    ({"default_eos_threshold": [1]}, "default_eos_threshold: must be a number, not [1]"),
    ({"model_recommended_frames_after_eos": -1}, "model_recommended_frames_after_eos: -1 makes no sense"),
    ({"mimi.frame_rate": 0}, "mimi.frame_rate: 0.0 makes no sense"),
    ({"mimi.seanet.ratios": []}, "mimi.seanet.ratios: must be a list, such as [1, 2], not []"),
    ({"mimi.seanet.ratios": 6}, "mimi.seanet.ratios: must be a list"),
    ({"mimi.seanet.ratios": [6, "5", 4]}, "mimi.seanet.ratios[1]: must be a whole number, not '5'"),
    ({"mimi.seanet.ratios": [6, 0, 4]}, "mimi.seanet.ratios: 0 makes no sense"),
    ({"mimi.seanet.ratios": [6, [5], 4]}, "mimi.seanet.ratios[1]: must be a whole number, not [5]"),
    ({"remove_semicolons": "no way"}, "remove_semicolons: must be true or false, not 'no way'"),
    ({"remove_semicolons": 1}, "remove_semicolons: must be true or false, not 1"),
    ({"flow_lm.flow.type": "lds"}, "flow_lm.flow.type: 'lds' is not known; use lsd, flow_matching, drifting or point"),
    ({"flow_lm.flow.type": None}, "flow_lm.flow.type: must be text, not None"),
    ({"flow_lm.dtype": "int3"}, "flow_lm.dtype: 'int3' is not known; use float32, bfloat16 or float16"),
    ({"mimi.seanet.pad_mode": "reflect"}, "mimi.seanet.pad_mode: 'reflect' is not known; use constant or replicate"),
    ({"flow_lm.lookup_table.tokenizer": "bpe"}, "flow_lm.lookup_table.tokenizer: 'bpe' is not known; use"),
    ({"flow_lm.lookup_table.tokenizer_path": ""}, "flow_lm.lookup_table.tokenizer_path: must be text, not ''"),
    ({"weights_path": "a\0b"}, "weights_path: must be text"),
    ({"weights_path": ["a"]}, "weights_path: must be text, not ['a']"),
    ({"replace_characters": {"ab": "c"}}, "replace_characters: must be single characters"),
    ({"replace_characters": {"a": 1}}, "replace_characters: must be single characters"),
    ({"replace_characters": {1: "a"}}, "replace_characters: must be single characters"),
    ({"replace_characters": ["a"]}, "replace_characters: must be single characters"),
    ({"voice_names": [1]}, "voice_names[0]: must be text, not 1"),
    ({"voices_path": "voices/alba.wav"}, "voices_path: 'voices/alba.wav' has no {voice} in it"),
    ({"flow_lm.transformer.num_heads": 7}, "flow_lm.transformer.num_heads: a width of 1024 can't be split into 7 heads of even width"),
    ({"flow_lm.transformer.attn_dim": 1000}, "flow_lm.transformer.num_heads: a width of 1000 can't be split into 16 heads"),
    ({"flow_lm.transformer.num_heads": 1024}, "flow_lm.transformer.num_heads: a width of 1024 can't be split into 1024 heads"),
    ({"flow_lm.transformer.num_kv_heads": 3}, "flow_lm.transformer.num_kv_heads: must divide num_heads (16)"),
    ({"flow_lm.lookup_table.dim": 512}, "flow_lm.lookup_table.dim: 512 is not flow_lm.transformer.d_model (1024)"),
    ({"mimi.transformer.num_heads": 3}, "mimi.transformer.num_heads: a width of 512 can't be split into 3 heads"),
    ({"mimi.transformer.input_dimension": 256}, "mimi.transformer.input_dimension: 256 is not mimi.seanet.dimension"),
    ({"mimi.transformer.output_dimensions": [512, 512]}, "mimi.transformer.output_dimensions: [512, 512] is not"),
    ({"mimi.quantizer.output_dimension": 256}, "mimi.quantizer.output_dimension: 256 is not mimi.outer_dim (512)"),
    ({"mimi.outer_dim": 256}, "mimi.outer_dim: 256 is not a multiple of mimi.seanet.dimension (512)"),
    ({"mimi.outer_dim": 1024}, "mimi.quantizer.output_dimension: 512 is not mimi.outer_dim (1024); make them equal"),
    ({"mimi.seanet.channels": 2}, "mimi.seanet.channels: 2 is not mono (1)"),
    ({"mimi.channels": 2}, "mimi.channels: 2 is not mono (1)"),
    ({"mimi.seanet.compress": 100}, "mimi.seanet.compress: 100 is more than n_filters (64)"),
    ({"mimi.frame_rate": 13}, "mimi.frame_rate: sample_rate / frame_rate / product of ratios is 15.3846"),
    ({"mimi.frame_rate": 400}, "mimi.frame_rate: sample_rate / frame_rate / product of ratios is 0.5"),
    ({"mimi.decoder_seanet": SEANET | {"dimension": 128}}, "mimi.transformer.input_dimension: 512 is not"),
    ({"mimi.decoder_seanet.dimension": 128}, "mimi.decoder_seanet.channels: missing"),
    ({"flow_lm.weights_path": "a.safetensors"}, "mimi.weights_path: missing; add it, since flow"),
    ({"mimi.weights_path": "a", "weights_path": ...}, "flow_lm.weights_path: missing; add it"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message[:60] for _, message in WRONG])
def test_wrong_values_are_reported(custom, changes, message):
    path = custom(changed(changes))
    error = error_of(path)
    assert error.startswith(f"{path}: ") and message in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file: must be a section of keys and values, not None"),
        ("hello", "the file: must be a section of keys and values, not 'hello'"),
        ("- 1\n- 2", "the file: must be a section of keys and values, not [1, 2]"),
        ("a: b: c", "not YAML: mapping values are not allowed here (line 1); correct it"),
        ("a: 1\nb: [1", "(line 2)"),
        ("a: !!python/object/apply:os.system [ls]", "not YAML: could not determine a constructor"),
        (b"\xff\xfe\x00", "not YAML that can be read (UnicodeDecodeError)"),
        (b"PK\x03\x04", "not YAML that can be read (ReaderError)"),
        ("a: " + "9" * 5000, "not YAML that can be read (ValueError)"),
        ("a: !!int ''", "not YAML that can be read"),
        ("a: !!bool maybe", "not YAML that can be read"),
        ("a: 2026-13-45", "not YAML that can be read (ValueError)"),
        ("[" * 60_000, "not YAML that can be read (RecursionError)"),
        ("{a: " * 15_000, "not YAML that can be read (RecursionError)"),
        ("- " * 30_000, "not YAML that can be read (RecursionError)"),
        ("#" * 100_000, "longer than 64 KB"),
        ("a: &a [x]\nb: [*a, *a]", "aliases (*name) are not allowed"),
        ("&a [*a]", "aliases (*name) are not allowed"),
        ("{1: 2}", "1: no such key"),
        ("? [1, 2]\n: 3", "not YAML: found unhashable key"),
        ("? " + "x" * 60_000 + "\n: 1", "no such key"),
        ("mimi: 1\nflow_lm: " + "x" * 60_000, "must be a section"),
    ],
)  # fmt: skip
def test_other_files_are_rejected_quickly_in_one_line(custom, text, message):
    start = time.monotonic()
    assert message in error_of(custom(text))
    assert time.monotonic() - start < 5


def test_an_alias_bomb_is_rejected(custom):
    levels = [f"a{i}: &a{i} {{<<: [{', '.join(f'*a{i - 1}' for _ in range(9))}]}}" for i in range(1, 12)]
    assert "aliases" in error_of(custom("\n".join(["a0: &a0 {x: 1}", *levels])))


def test_a_truncated_config_is_an_error_at_every_length(custom):
    text = changed({}).encode()
    whole = load_config(custom(text))
    for length in range(0, len(text) - 1, 37):
        try:
            assert load_config(custom(text[:length])) != whole
        except ConfigError as error:
            assert "\n" not in str(error)


# files that a model needs offline


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with HubServer() as server:
        server.point(monkeypatch, tmp_path / "home")
        yield server


def files_of(hub, name, voices=()) -> Config:
    """A known model whose files lie on `hub`, at other commits than the real ones."""
    config = load_config(name)
    table = config.flow_lm.lookup_table
    paths = {}
    for path in (
        config.weights_path,
        config.weights_path_without_voice_cloning,
        table.tokenizer_path,
        config.voices_path,
    ):
        owner, repo, file = path.removeprefix("hf://").partition("@")[0].split("/", 2)
        for voice in voices or [config.default_voice]:
            hub.add(f"{owner}/{repo}", file.replace("{voice}", voice), path.encode())
        paths[path] = f"hf://{owner}/{repo}/{file}"
    table = dataclasses.replace(table, tokenizer_path=paths[table.tokenizer_path])
    return dataclasses.replace(
        config,
        flow_lm=dataclasses.replace(config.flow_lm, lookup_table=table),
        weights_path=paths[config.weights_path],
        weights_path_without_voice_cloning=paths[config.weights_path_without_voice_cloning],
        voices_path=paths[config.voices_path],
    )


def test_download_fetches_all_that_is_needed_offline(hub, monkeypatch):
    from huggingface_hub import constants

    config = files_of(hub, "german")
    assert not is_downloaded(config)
    weights, tokenizer, voice = download_model(config)
    assert is_downloaded(config)
    assert weights.name == "model.safetensors" and b"hf://kyutai/pocket-tts/" in weights.read_bytes()
    assert tokenizer.name == "tokenizer.json" and voice.name == "juergen.safetensors"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert download_model(config) == [weights, tokenizer, voice] and hub.requests == []


def test_download_of_voices_by_name_address_and_path(hub, tmp_path):
    config = files_of(hub, "b6369a24", ["jean", "cosette"])
    (tmp_path / "me.wav").write_bytes(b"me")
    page = hub.add_page("voice.wav", b"page")
    voices = download_model(config, ["jean", "cosette", page, str(tmp_path / "me.wav")])[2:]
    assert [path.name for path in voices[:2]] == ["jean.safetensors", "cosette.safetensors"]
    assert [path.read_bytes() for path in voices[2:]] == [b"page", b"me"]


def test_download_falls_back_to_the_open_weights_and_later_gets_the_gated_ones(hub, monkeypatch):
    config = files_of(hub, "english")
    hub.gated["kyutai/pocket-tts"] = 403
    assert b"without-voice-cloning" in download_model(config)[0].read_bytes()
    assert is_downloaded(config)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert b"hf://kyutai/pocket-tts/" in download_model(config)[0].read_bytes()


def test_download_of_a_custom_model(hub, custom, tmp_path):
    for name in ("lm.safetensors", "mimi.safetensors", "tokenizer.model"):
        (tmp_path / name).touch()
    changes = {
        **{key: ... for key in ("weights_path", "weights_path_without_voice_cloning", "voices_path", "default_voice")},
        "flow_lm.weights_path": "lm.safetensors",
        "mimi.weights_path": "mimi.safetensors",
        "flow_lm.lookup_table.tokenizer_path": "tokenizer.model",
    }
    config = load_config(custom(changed(changes)))
    assert is_downloaded(config)
    assert [path.name for path in download_model(config)] == ["lm.safetensors", "mimi.safetensors", "tokenizer.model"]
    with pytest.raises(VoiceError, match="alba: my has no voices of its own"):
        download_model(config, ["alba"])
    (tmp_path / "tokenizer.model").unlink()
    assert not is_downloaded(config)
