"""A Python file as tools: imported, described and called; for the child process."""

import ast
import functools
import importlib
import importlib.util
import inspect
import os
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from hermes_cli.tools.child.signature import CallFault, Signature, ToolFault
from hermes_cli.tools.results import jsonable

_MOST_ITEMS = 100_000


class ToolFile:
    """The module made of a file's source; what its functions keep in it stays from call to call."""

    def __init__(self, path: str, source: str) -> None:
        """Raises ToolFault for what cannot be imported."""
        self._path, self._source = path, source
        self._signatures: dict[str, Signature] = {}
        self._callables: dict[str, Callable[..., Any]] = {}
        self._runner: Any = None
        # Only from Python 3.12 on pydantic reads the TypedDict of `typing`.
        if sys.version_info < (3, 12):
            import typing_extensions

            typing.TypedDict = typing_extensions.TypedDict
        self.module = self._imported()

    def describe(self) -> list[dict[str, Any]]:
        """Every public function as name, description, parameters, returns and `read_only`. Raises ToolFault."""
        self._check_definitions()
        functions = self._tools()
        read_only = self._read_only(functions)
        return [
            {"name": name, "read_only": name in read_only, **self._signature(name, function).describe()}
            for name, function in functions.items()
        ]

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """What the function returns for `arguments`, as JSON can hold it. Raises what the function raises."""
        function = self._tools()[name]
        positional, named = self._signature(name, function).converted(arguments)
        result = function(*positional, **named)
        if inspect.isawaitable(result):
            result = self._awaited(result)
        if inspect.isgenerator(result):
            result = list(islice(result, _MOST_ITEMS))
        try:
            return jsonable(result)
        except Exception as error:
            raise CallFault(f"the tool's result cannot be represented in JSON: {error}") from error

    def where(self, error: BaseException) -> int | None:
        """The line of this file in which `error` came up last."""
        if isinstance(error, SyntaxError) and error.filename == self._path:
            return error.lineno
        lines = []
        trace = error.__traceback__
        while trace:
            if trace.tb_frame.f_code.co_filename == self._path:
                lines.append(trace.tb_lineno)
            trace = trace.tb_next
        return lines[-1] if lines else None

    def _imported(self) -> types.ModuleType:
        name = f"tool_file_{Path(self._path).stem}"
        module = types.ModuleType(name)
        module.__file__ = self._path
        sys.modules[name] = module
        # After all other folders: a file next to the tools must not replace a library.
        sys.path.append(str(Path(self._path).parent))
        try:
            exec(compile(self._source, self._path, "exec", dont_inherit=True), vars(module))
        except SyntaxError as error:
            raise ToolFault(f"is not Python: {error.msg}", self.where(error)) from error
        except ModuleNotFoundError as error:
            raise ToolFault(f"needs the module {error.name}, which is not installed", self.where(error)) from error
        except SystemExit as error:
            raise ToolFault("ends the program while it is imported", self.where(error)) from error
        except BaseException as error:
            raise ToolFault(f"fails while it is imported: {in_words(error)}", self.where(error)) from error
        return module

    def _tools(self) -> dict[str, Callable[..., Any]]:
        """The functions to offer, by the names the model calls them. Raises ToolFault."""
        if not self._callables:
            seen: set[int] = set()
            defined = self._decorated()
            for variable, given in list(vars(self.module).items()):
                if not self._is_public(variable):
                    continue
                name, value = self._unwrapped(variable, given)
                function = inspect.unwrap(value) if isinstance(value, functools._lru_cache_wrapper) else value
                if not inspect.isfunction(function) or function.__module__ != self.module.__name__:
                    if variable in defined:
                        what = f"is made a {type(given).__name__} by its decorator, which cannot be offered"
                        raise ToolFault(f"{what}; remove the decorator", defined[variable], variable)
                    continue
                if function.__name__ != "<lambda>" and id(function) not in seen:
                    seen.add(id(function))
                    self._callables[name] = value
        return self._callables

    def _is_public(self, name: str) -> bool:
        listed = getattr(self.module, "__all__", None)
        return name in listed if listed is not None else not name.startswith("_")

    def _decorated(self) -> dict[str, int]:
        """The lines of the functions of this file that have decorators."""
        functions = (
            one for one in ast.parse(self._source).body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        return {one.name: one.lineno for one in functions if one.decorator_list}

    def _unwrapped(self, name: str, value: Any) -> tuple[str, Any]:
        """A LangChain tool as the function it was made of, under its name there; others as they are."""
        if inspect.isclass(value) or not all(hasattr(value, one) for one in ("args_schema", "description", "invoke")):
            return name, value
        function = getattr(value, "func", None) or getattr(value, "coroutine", None)
        if not inspect.isfunction(function):
            raise ToolFault(
                "is a LangChain tool that was not made of a function; write a function that calls it", None, name
            )
        return str(getattr(value, "name", name)), function

    def _check_definitions(self) -> None:
        """Raise ToolFault where a later function silently takes the place of an earlier one."""
        lines: dict[str, int] = {}
        for node in ast.parse(self._source).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                if node.name in lines and not node.decorator_list:
                    first = lines[node.name]
                    raise ToolFault(f"is defined twice, first in line {first}", node.lineno, node.name)
                lines[node.name] = node.lineno

    def _read_only(self, functions: Mapping[str, object]) -> set[str]:
        marked = getattr(self.module, "READ_ONLY", ())
        if not isinstance(marked, set | frozenset | list | tuple) or not all(isinstance(name, str) for name in marked):
            raise ToolFault('needs a set of names as READ_ONLY, such as {"get_weather"}')
        for name in marked:
            if name not in functions:
                raise ToolFault(f"names {name} in READ_ONLY, but has no such public function")
        return set(marked)

    def _signature(self, name: str, function: Callable[..., Any]) -> Signature:
        if name not in self._signatures:
            self._signatures[name] = Signature(name, function)
        return self._signatures[name]

    def _awaited(self, result: Awaitable[Any]) -> Any:
        """The outcome of an async function; all calls share one event loop, so that what they keep stays usable."""
        import asyncio

        async def wait() -> Any:
            return await result

        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(wait())


def in_words(error: BaseException) -> str:
    """The class and the message of an error, also of one whose message cannot be made."""
    try:
        text = str(error).strip()
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def model_schema(name: str, path: str | None) -> dict[str, Any]:
    """The JSON Schema of the model `name` in a file, or of `module:Model`, as pydantic writes it. Raises ToolFault."""
    from pydantic import TypeAdapter

    module_name, _, model_name = name.rpartition(":")
    module = _module_of_file(path) if path else _module(module_name)
    model = getattr(module, model_name, None)
    if model is None:
        classes = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise ToolFault(f"has no {model_name}; it has {', '.join(classes) or 'nothing of its own'}")
    try:
        return TypeAdapter(model).json_schema()
    except Exception as error:
        raise ToolFault(
            f"cannot be represented in JSON for {model_name}: {str(error).splitlines()[0].partition('. ')[0]}"
        ) from error


def _module_of_file(path: str) -> types.ModuleType:
    try:
        source = importlib.util.decode_source(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise ToolFault(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return ToolFile(path, source).module


def _module(name: str) -> types.ModuleType:
    sys.path.append(os.getcwd())  # noqa: PTH109 - sys.path holds strings
    try:
        return importlib.import_module(name)
    except BaseException as error:
        raise ToolFault(f"cannot be imported: {in_words(error)}") from error
