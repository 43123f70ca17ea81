"""Finding what a process needs of its project: the root, a workload's settings, a service's handlers."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from lockgate.connection import Settings, settings_for
from lockgate.contracts.model import Contracts
from lockgate.contracts.model import Service as DeclaredService
from lockgate.errors import HandlerError, SettingsError, UsageError
from lockgate.runtime.service import Service

__all__ = ["find_root", "identity", "load_service", "root_above"]


def find_root(directory: Path | None = None) -> Path:
    """Return `directory`, or the nearest parent of the working directory with `schemas/*/domain.yaml`.

    Raise UsageError where there is none.
    """
    if directory is not None:
        root = directory.absolute()
        if not any(root.glob("schemas/*/domain.yaml")):
            raise UsageError(f"{root} is no Lockgate project: it has no schemas/*/domain.yaml")
        return root
    return root_above(Path.cwd())


def root_above(here: Path) -> Path:
    """Return a folder, or the nearest above it, with `schemas/*/domain.yaml`; raise UsageError where there is none."""
    for folder in (here, *here.parents):
        if any(folder.glob("schemas/*/domain.yaml")):
            return folder
    raise UsageError(
        f"no Lockgate project here: neither {here} nor a folder above it has schemas/*/domain.yaml",
        next_step="go to the project, or name it with -C DIR",
    )


def identity(workload: str, root: Path) -> Settings:
    """Return a workload's settings; raise SettingsError where they are another principal's."""
    settings = settings_for(workload, root)
    if settings.username not in (None, workload):
        raise SettingsError(
            f"the settings are those of {settings.username}, but {workload} is a principal of its own",
            next_step=f"set LOCKGATE_USERNAME and the password of {workload}, or unset the LOCKGATE_… variables",
        )
    return settings


def load_service(contracts: Contracts, declared: DeclaredService) -> Service:
    """Import a service's handlers and return its Service; raise HandlerError, with file and line, where that fails."""
    root = str(contracts.root)
    if root not in sys.path:
        sys.path.insert(0, root)
    name = f"services.{declared.folder}.handlers"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise HandlerError(
                f"{declared.name} consumes events, but there is no services/{declared.folder}/handlers.py",
                next_step="write it: a Service and its handlers",
            ) from error
        raise _broken(name, error) from error
    except Exception as error:  # the module is the user's: importing it runs anything
        raise _broken(name, error) from error
    found = [value for value in vars(module).values() if isinstance(value, Service)]
    named = getattr(module, "service", None)
    if isinstance(named, Service):
        return named
    if len(found) != 1:
        raise HandlerError(
            f"{module.__file__} holds {len(found) or 'no'} Service objects",
            next_step=f"write `service = Service({declared.name!r})`",
        )
    return found[0]


def _broken(name: str, error: Exception) -> HandlerError:
    """Say where an import failed: in the innermost file that is not the import machinery's."""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}:{error.lineno}"
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if len(frames) > 1 else name
    return HandlerError(f"importing {name} failed at {place}: {type(error).__name__}: {error}")
