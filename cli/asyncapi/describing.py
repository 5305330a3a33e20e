"""``notify asyncapi``: finds what modules define, and prints the document."""

from inspect import isclass, isfunction
from types import ModuleType
from typing import Annotated, Any

import msgspec
import typer

from cli.options import AsJson, Namespace, Url, options
from cli.worker import importing
from notify import Message
from workers.jobs import definition_of, load_module
from workers.overview.asyncapi import asyncapi_document

__all__ = ["asyncapi"]


def asyncapi(
    context: typer.Context,
    modules: Annotated[
        list[str] | None, typer.Argument(metavar="[MODULE...]", help="Modules with message classes and jobs.", show_default=False)
    ] = None,
    services: Annotated[
        list[str] | None,
        typer.Option("--service", metavar="NAME=MODULE:CLASS", help="A service, and the class of the object that it exports."),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Title of the document.")] = "Notify",
    version: Annotated[str, typer.Option("--api-version", help="Version of what is described.")] = "1.0.0",
    url: Url = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Describe the messages, jobs and services of modules as an AsyncAPI 3 document. The modules are imported."""
    chosen = options(context, url=url, namespace=namespace, as_json=as_json)
    if not modules and not services:
        raise typer.BadParameter("there is nothing to describe: give modules, or --service NAME=MODULE:CLASS")
    loaded = [_load(name) for name in modules or ()]
    messages = [value for module in loaded for value in vars(module).values() if _is_message_of(module, value)]
    jobs = [value for module in loaded for value in vars(module).values() if isfunction(value) and _is_job_of(module, value)]
    document = asyncapi_document(
        messages=messages,
        jobs=jobs,
        services=dict(map(_service, services or ())),
        namespace=chosen.settings.namespace,
        title=title,
        version=version,
    )
    lines = msgspec.json.format(msgspec.json.encode(document), indent=2).decode().split("\n")
    chosen.output.lines(document, [(line,) for line in lines])


def _load(name: str) -> ModuleType:
    with importing(name):
        return load_module(name)


def _is_message_of(module: ModuleType, value: Any) -> bool:
    return isclass(value) and issubclass(value, Message) and hasattr(value, "topic") and value.__module__ == module.__name__


def _is_job_of(module: ModuleType, value: Any) -> bool:
    return definition_of(value) is not None and value.__module__ == module.__name__


def _service(given: str) -> tuple[str, object]:
    """Return the name of a service, and what it exports: an object of the class that is not initialized, for its methods are only read."""
    name, _, path = given.partition("=")
    module, _, attribute = path.partition(":")
    if not (name and module and attribute):
        raise typer.BadParameter(f"{given!r} is no service: give NAME=MODULE:CLASS, such as storage=shop.storage:Storage")
    cls = getattr(_load(module), attribute, None)
    if not isclass(cls):
        raise typer.BadParameter(f"{module} has no class {attribute!r}")
    return name, object.__new__(cls)
