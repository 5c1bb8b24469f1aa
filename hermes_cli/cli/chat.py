"""`hermes chat`: an interactive chat."""

from contextlib import closing

from hermes_cli.chat.request import CancelToken, Sampling
from hermes_cli.cli import options
from hermes_cli.cli.prompt_text import system_text, wrapped
from hermes_cli.errors import LoadCancelled
from hermes_cli.terminal import console
from hermes_cli.terminal.interrupts import EXIT_CODES, stopping


def chat(
    model: options.Model = None,
    preset: options.Preset = None,
    var: options.Variables = None,
    system: options.System = None,
    file: options.Files = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repeat_penalty: options.RepeatPenalty = None,
    seed: options.Seed = None,
    max_tokens: options.MaxTokens = None,
    stop: options.Stop = None,
    ctx: options.ContextLength = None,
    gpu_layers: options.GpuLayers = "auto",
    kv_type: options.CacheType = "f16",
    threads: options.Threads = None,
    template: options.Template = "auto",
    color: options.ColorChoice = "auto",
    verbose: options.Verbose = False,
) -> int:
    """Chat: a line in, an answer out. Ctrl-C stops the answer and keeps what came; Ctrl-D leaves.

    With lines piped in, each line is a turn. Files given with -f go into the first message.
    """
    console.use_color(color)
    from hermes_cli.cli.opening import ChatSettings, open_session, with_preset
    from hermes_cli.engine.local_backend import LoadOptions
    from hermes_cli.terminal import repl

    settings = ChatSettings(
        model=model,
        system_prompt=system_text(system),
        sampling=Sampling(temperature, top_k, top_p, min_p, repeat_penalty, seed),
        max_tokens=max_tokens,
        stop=tuple(stop or ()),
        load=LoadOptions(ctx, options.gpu_layer_count(gpu_layers), kv_type, threads, template),
        verbose=verbose,
    )
    settings = with_preset(settings, preset, options.variable_values(var or ()))
    attached = "\n\n".join(wrapped(path) for path in file or ())
    loading = CancelToken()
    try:
        with stopping(loading):
            session = open_session(settings, loading)
    except LoadCancelled:
        return EXIT_CODES[loading.reason or "interrupt"]
    with closing(session):
        return repl.run(session, attached)
