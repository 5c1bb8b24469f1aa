"""The commands of `hermes`: the module of each, which is imported when the command is used, and one line of help.

A module's Typer object is its `app`; the line is the first of the command's own help.
"""

COMMANDS = {
    "ask": ("ask.ask", "Answer one prompt and exit."),
    "chat": ("chat", "Chat with the model."),
    "doctor": ("doctor.doctor", "Check hardware, build, model and settings, and suggest fixes."),
    "bench": ("bench.bench", "Measure the speed of prompt processing and generation."),
    "test": ("trials.test", "Check the answers and tool calls of a model against test cases."),
    "serve": ("serve", "Serve a model through an OpenAI-compatible API."),
    "pull": ("pull", "Download a model, verify its checksum and print its path."),
    "models": ("models", "List, inspect and remove models."),
    "presets": ("presets", "List, show, create, edit and remove presets."),
    "sessions": ("sessions.sessions", "List, search, export, import and remove saved sessions."),
    "tools": ("tools", "List, show and run the tools for --tools."),
    "mcp": ("mcp", "Manage MCP servers, whose tools the model can call with --mcp."),
    "config": ("config", "Show and change settings."),
}
UNLISTED = {"sampling": ("help.sampling", "Print the page about sampling.")}  # for `hermes help sampling`
