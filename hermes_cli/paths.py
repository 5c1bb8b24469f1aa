"""Every folder and file the program may use.

The name is `hermes-cli`: another program owns `~/.hermes`, `HERMES_*` and perhaps the command `hermes`.
"""

import os
from pathlib import Path

_NAME = "hermes-cli"
# For an account without a home folder: nothing is found there and nothing can be saved.
_NO_HOME = Path(os.devnull)
SESSION_PAGE = Path(__file__).parent / "store" / "sessions" / "page.html"
DEMO_MODEL = Path(__file__).parent / "models" / "demo" / "hermes-demo.gguf"
TOOL_CASES = Path(__file__).parent / "tools" / "builtin" / "cases.yaml"
CATALOG = Path(__file__).parent / "models" / "catalog.toml"


def cache_folder() -> Path:
    """Files that may be deleted at any time: HERMES_CLI_CACHE_DIR, else in the user's cache folder."""
    return _folder("HERMES_CLI_CACHE_DIR", "user_cache_path")


def data_folder() -> Path:
    """Models, sessions and history: HERMES_CLI_DATA_DIR, else in the user's data folder."""
    return _folder("HERMES_CLI_DATA_DIR", "user_data_path")


def config_folder() -> Path:
    """Settings and presets: HERMES_CLI_CONFIG_DIR, else in the user's config folder."""
    return _folder("HERMES_CLI_CONFIG_DIR", "user_config_path")


def config_file() -> Path:
    """The user's settings."""
    return config_folder() / "config.toml"


def prompts_folder() -> Path:
    """The user's own presets."""
    return config_folder() / "prompts"


def bundled_prompts_folder() -> Path:
    """The bundled presets: in the package, or next to it in a checkout."""
    package = Path(__file__).parent
    packed = package / "prompts"
    return packed if packed.is_dir() else package.parent / "prompts"


def tool_approvals_file() -> Path:
    """The tools that the user has approved permanently."""
    return config_folder() / "tool-approvals.json"


def models_folder() -> Path:
    """GGUF files here are found by name; downloads go to OWNER/REPOSITORY/FILE."""
    return data_folder() / "models"


def hugging_face_folder() -> Path:
    """The download cache of Hugging Face's programs; only read."""
    own = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if own:
        return expanded(own)
    home = os.environ.get("HF_HOME")
    if home:
        return expanded(home) / "hub"
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def lm_studio_folders() -> tuple[Path, ...]:
    """The model folders of LM Studio, current and former; only read."""
    return expanded("~/.lmstudio/models"), expanded("~/.cache/lm-studio/models")


def ollama_folders() -> tuple[Path, ...]:
    """The model folders of Ollama, of this user and of its service; only read."""
    own = os.environ.get("OLLAMA_MODELS")
    return (expanded(own),) if own else (expanded("~/.ollama/models"), Path("/usr/share/ollama/.ollama/models"))


def sessions_folder() -> Path:
    """The saved sessions, one file each."""
    return data_folder() / "sessions"


def history_file() -> Path:
    """The messages typed in chats."""
    return data_folder() / "history"


def session_index_file() -> Path:
    """The index of `store.sessions.index`."""
    return cache_folder() / "sessions.sqlite"


def kv_folder() -> Path:
    """The saved prompt caches of `engine.cache.kv_store`."""
    return cache_folder() / "kv"


def offer_file() -> Path:
    """Its modification time is when the offer to download a model was last declined."""
    return cache_folder() / "offer-declined"


def probe_file() -> Path:
    """The verdicts of `machine.probe`."""
    return cache_folder() / "library-probe.json"


def tuning_file() -> Path:
    """The measurements of `machine.tuning`."""
    return cache_folder() / "tuning.json"


def server_file() -> Path:
    """Where a running `hermes serve` says how to reach it."""
    return cache_folder() / "server.json"


def _folder(variable: str, function: str) -> Path:
    override = os.environ.get(variable)
    if override:
        return expanded(override)
    import platformdirs

    try:
        path: Path = getattr(platformdirs, function)(_NAME, appauthor=False)
    except RuntimeError:  # newer versions of platformdirs; older ones leave the ~
        return _NO_HOME / _NAME
    return path if path.is_absolute() else _NO_HOME / _NAME


def expanded(path: str) -> Path:
    """The path with `~` replaced by the home folder; unchanged if there is no such user."""
    try:
        return Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib raises for an unknown user
    except ValueError:  # a NUL in the user's name
        return Path(path)
