"""Finding plugins, and checking that each is what `gateway.plugin_api` says."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from types import ModuleType
from weakref import WeakSet

from gateway.config.model import Defaults, Route, Table
from gateway.plugin_api import HOOKS, Plugin, Stage

_BUILT_IN = "plugins"
_NOT_LOADED = {"plugins.example"}
_ASYNC_HOOKS = {"on_request"}
_CHECKED: WeakSet[type[Plugin]] = WeakSet()
"""Those that keep to the contract: a table is read more often than a plugin changes."""


class PluginInvalid(Exception):  # noqa: N818 - a state of the plugin, named as operators know it
    """A plugin that cannot be imported, or does not keep to the contract."""


def find_plugins(extra: Sequence[str] = ()) -> tuple[type[Plugin], ...]:
    """Every plugin of the `plugins` package, and those of `extra`: modules, or `module.Class`. Raises PluginInvalid."""
    package = importlib.import_module(_BUILT_IN)
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__, f"{_BUILT_IN}."))
    found: list[type[Plugin]] = []
    for name in (*(name for name in names if name not in _NOT_LOADED), *extra):
        found += import_plugins(name, is_optional=name in names)
    unique = tuple(dict.fromkeys(found))
    check_names(unique)
    return unique


def import_plugins(name: str, *, is_optional: bool = False) -> list[type[Plugin]]:
    """The plugins of one module, or the one class that the name says. Raises PluginInvalid."""
    try:
        target: object = importlib.import_module(name)
    except ModuleNotFoundError as error:
        module, _, attribute = name.rpartition(".")
        if not module or not name.startswith(error.name or "\0"):
            raise PluginInvalid(f'"{name}" cannot be imported: {error}') from None
        target = _attribute(name, module, attribute)
    except Exception as error:
        raise PluginInvalid(f'"{name}" cannot be imported: {type(error).__name__}: {error}') from error
    if isinstance(target, ModuleType):
        classes = [
            value
            for value in vars(target).values()
            if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == target.__name__
        ]
    else:
        classes = [target] if isinstance(target, type) and issubclass(target, Plugin) else []
    if not classes and not is_optional:
        raise PluginInvalid(f'"{name}" holds no class that is derived from gateway.plugin_api.Plugin')
    for plugin in classes:
        if plugin not in _CHECKED:
            _check(plugin)
            _CHECKED.add(plugin)
    return classes


def _attribute(name: str, module: str, attribute: str) -> object:
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise PluginInvalid(f'"{name}" cannot be imported: {module} has no {attribute}') from None
    except Exception as error:
        raise PluginInvalid(f'"{name}" cannot be imported: {type(error).__name__}: {error}') from error


def _check(plugin: type[Plugin]) -> None:
    where = f"{plugin.__module__}.{plugin.__qualname__}"
    for attribute, kind in (("name", str), ("stage", Stage), ("Policy", object)):
        if not isinstance(getattr(plugin, attribute, None), kind) or not hasattr(plugin, attribute):
            raise PluginInvalid(f"{where} has no valid {attribute}")
    if bool(plugin.section_name) != (plugin.Section is not None):
        raise PluginInvalid(f"{where} needs section_name and Section both, or neither")
    for name in dir(plugin):
        if name.startswith("_") or name in HOOKS or not inspect.isroutine(getattr(plugin, name)):
            continue
        near = get_close_matches(name, HOOKS, n=1, cutoff=0.85)
        if name.startswith("on_") or near:
            hint = f"did you mean {near[0]}?" if near else f"hooks are {', '.join(HOOKS)}"
            raise PluginInvalid(f"{where}.{name} is no hook; {hint}")
    for name in HOOKS:
        if name not in _ASYNC_HOOKS and inspect.iscoroutinefunction(getattr(plugin, name, None)):
            raise PluginInvalid(f"{where}.{name} must be a plain function, not async")


def check_names(plugins: Iterable[type[Plugin]]) -> None:
    """Each key and each section has one owner. Raises PluginInvalid."""
    keys = dict.fromkeys((*Route.model_fields, *Defaults.model_fields), "the gateway")
    sections = dict.fromkeys(Table.model_fields, "the gateway")
    for plugin in plugins:
        where = f"{plugin.__module__}.{plugin.__qualname__}"
        for owners, name in ((keys, plugin.name), (sections, plugin.section_name)):
            if name in owners:
                raise PluginInvalid(f'{where} wants the key "{name}", which is taken by {owners[name]}')
            if name:
                owners[name] = where
