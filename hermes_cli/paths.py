"""Every folder and file the program may touch, in one place.

The name is `hermes-cli`: another program owns `~/.hermes`, `HERMES_*` and perhaps the command `hermes`.
"""

import os
from functools import cache
from pathlib import Path

_NAME = "hermes-cli"
SESSION_PAGE = Path(__file__).parent / "store" / "sessions" / "page.html"
DEMO_MODEL = Path(__file__).parent / "models" / "demo" / "hermes-demo.gguf"
TOOL_CASES = Path(__file__).parent / "tools" / "builtin" / "cases.yaml"
CATALOG = Path(__file__).parent / "models" / "catalog.toml"


@cache
def cache_folder() -> Path:
    """What may be deleted at any time: HERMES_CLI_CACHE_DIR, else the system's cache folder."""
    return _folder("HERMES_CLI_CACHE_DIR", "user_cache_path")


@cache
def data_folder() -> Path:
    """What the user keeps: HERMES_CLI_DATA_DIR, else the system's data folder."""
    return _folder("HERMES_CLI_DATA_DIR", "user_data_path")


@cache
def config_folder() -> Path:
    """What the user writes or changes: HERMES_CLI_CONFIG_DIR, else the system's folder for settings."""
    return _folder("HERMES_CLI_CONFIG_DIR", "user_config_path")


def config_file() -> Path:
    """The user's settings."""
    return config_folder() / "config.toml"


def prompts_folder() -> Path:
    """The user's own presets."""
    return config_folder() / "prompts"


def bundled_prompts_folder() -> Path:
    """The presets that come with the program: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    packed = package / "prompts"
    return packed if packed.is_dir() else package.parent / "prompts"


def tool_approvals_file() -> Path:
    """The tools that the user lets run without being asked again."""
    return config_folder() / "tool-approvals.json"


def models_folder() -> Path:
    """GGUF files here are found by name; downloads lie in a folder for each owner and repository."""
    return data_folder() / "models"


def hugging_face_folder() -> Path:
    """Where Hugging Face's own programs keep what they downloaded; it is only read."""
    own = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if own:
        return expanded(own)
    home = os.environ.get("HF_HOME")
    if home:
        return expanded(home) / "hub"
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def lm_studio_folders() -> tuple[Path, ...]:
    """Where LM Studio keeps its models, now and before; they are only read."""
    return expanded("~/.lmstudio/models"), expanded("~/.cache/lm-studio/models")


def ollama_folders() -> tuple[Path, ...]:
    """Where Ollama keeps its models, of this user and of its service; they are only read."""
    own = os.environ.get("OLLAMA_MODELS")
    return (expanded(own),) if own else (expanded("~/.ollama/models"), Path("/usr/share/ollama/.ollama/models"))


def sessions_folder() -> Path:
    """The saved sessions, one file each."""
    return data_folder() / "sessions"


def history_file() -> Path:
    """What was typed in chats."""
    return data_folder() / "history"


def session_index_file() -> Path:
    """What `store.session_index` remembers of the sessions."""
    return cache_folder() / "sessions.sqlite"


def kv_folder() -> Path:
    """What `engine.kv_store` keeps of prompts that took long to read."""
    return cache_folder() / "kv"


def offer_file() -> Path:
    """Its time of change is when the download of a model was last offered and declined."""
    return cache_folder() / "offer-declined"


def probe_file() -> Path:
    """The verdicts of `engine.probe`."""
    return cache_folder() / "library-probe.json"


def tuning_file() -> Path:
    """What `engine.tuning` measured to be best for each model."""
    return cache_folder() / "tuning.json"


def server_file() -> Path:
    """Where a running `hermes serve` says how to reach it."""
    return cache_folder() / "server.json"


def _folder(variable: str, function: str) -> Path:
    override = os.environ.get(variable)
    if override:
        return expanded(override)
    import platformdirs

    path: Path = getattr(platformdirs, function)(_NAME, appauthor=False)
    return path


def expanded(path: str) -> Path:
    """The path with the home folder for `~`; as it is where there is no such user."""
    try:
        return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises for a user who is not there
    except ValueError:  # a zero character in the user's name
        return Path(path)
