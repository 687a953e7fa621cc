"""The components a project needs, each built when a node first needs it, and shared by all that do."""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from odibi.contracts.format import Source, Target
from odibi.errors import ConfigError, OdibiError, Problem
from odibi.formats import format_of
from odibi.model import Write
from odibi.references import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from odibi.contracts.cache import Cache
    from odibi.contracts.checkpoint import CheckpointStore
    from odibi.contracts.engine import Engine
    from odibi.contracts.metric import MetricSink
    from odibi.contracts.observer import Observer
    from odibi.contracts.secret import Secret
    from odibi.contracts.storage import Storage
    from odibi.contracts.trigger import FileVersion, Schedule, TriggerSource
    from odibi.host import Host
    from odibi.model import ComponentConfig, Project, Quarantine, Read
    from odibi.redact import Redactor


_CONNECTED = ("cache", "checkpoint", "trigger", "metric", "observer")
"""Families whose components may work on a connection of the project."""


class Resources:
    """Builds engines, connections, formats, operations and secrets for one project; closes what it built.

    Args:
        project: says what there is.
        host: builds it.
        redactor: learns every secret that is looked up.
        stores: has the cache and the checkpoint store, and closes them; by default these are built, and closed, like
            everything else.
        files: stream to the files of the batch that is consumed; reads of that stream read nothing else.
    """

    def __init__(
        self,
        project: Project,
        host: Host,
        redactor: Redactor,
        *,
        stores: Resources | None = None,
        files: Mapping[str, tuple[FileVersion, ...]] | None = None,
    ) -> None:
        self.project = project
        self.host = host
        self.redactor = redactor
        self._built: dict[tuple[str, str], Any] = {}
        self._lock = threading.RLock()
        self._types: list[tuple[str, str]] | None = None
        self._versioned: dict[tuple[str, str | None], bool] = {}
        self._stores = stores
        self.files = files or {}

    def engine(self, name: str) -> Engine:
        """The engine called ``name``."""
        return self._once("engine", name, lambda: self._start(name))  # type: ignore[no-any-return]

    def storage(self, connection: str) -> Storage:
        """The connection called ``connection``."""
        return self._once("storage", connection, lambda: self._connect(connection))  # type: ignore[no-any-return]

    def cache(self) -> Cache | None:
        """The project's cache, if it has one."""
        if self._stores is not None:
            return self._stores.cache()
        config = self.project.cache
        if config is None:
            return None
        cache: Cache = self._once("cache", "", lambda: self._build("cache", config.type, config.options))
        return cache

    def checkpoints(self) -> CheckpointStore | None:
        """The project's checkpoint store, if it has one."""
        if self._stores is not None:
            return self._stores.checkpoints()
        config = self.project.checkpoints
        if config is None:
            return None
        store: CheckpointStore = self._once(
            "checkpoint", "", lambda: self._build("checkpoint", config.type, config.options)
        )
        return store

    def trigger(self, name: str) -> Schedule | TriggerSource:
        """The trigger called ``name``, built anew: each pipeline has its own.

        Raises:
            KeyError: the project has none of that name.
        """
        config = self.project.triggers[name]
        built: Schedule | TriggerSource = self._build("trigger", config.type, config.options)
        return built

    def observer(self, config: ComponentConfig) -> Observer:
        """An observer, built anew: each run has its own."""
        built: Observer = self._build("observer", config.type, config.options)
        return built

    def metric(self, config: ComponentConfig) -> MetricSink:
        """A metric sink, built anew; whoever asks closes it."""
        built: MetricSink = self._build("metric", config.type, config.options)
        return built

    def source(self, read: Read, engine: str) -> Source:
        """What a node reads, ready for its engine.

        Raises:
            ConfigError: it is to read the files of a batch, but reads no files.
        """
        name = read.format or self.format_of(read.path, engine)
        only = self.files.get(read.stream) if read.stream is not None else None
        if only is not None and (read.path is None or self.knows_version(read, engine)):
            what = f"'{read.path or read.table or read.query}' is read as a whole, and not by the files of a batch."
            raise ConfigError([Problem(what, None, "Remove 'stream' from the read, or read the files themselves.")])
        return Source(
            storage=self.storage(read.connection),
            connection=read.connection,
            format=self._format(engine, name, read.options, "read"),
            format_name=name,
            path=read.path,
            table=read.table,
            query=read.query,
            columns=read.columns,
            only=only,
        )

    def target(self, write: Write, engine: str, part: str) -> Target:
        """What a node writes, ready for its engine."""
        name = write.format or self.format_of(write.path, engine)
        return Target(
            storage=self.storage(write.connection),
            connection=write.connection,
            format=self._format(engine, name, write.options, "write"),
            format_name=name,
            part=part,
            path=write.path,
            table=write.table,
            mode=write.mode,
            partition_by=write.partition_by,
            keys=write.keys,
        )

    def knows_version(self, read: Read, engine: str) -> bool:
        """Whether what a node reads is a table that knows its version; its format need not be imported to say so."""
        if read.path is None:
            return False
        name = read.format or format_of(self.host, read.path, engine)
        known = self._versioned.get((engine, name))
        if known is None:
            try:
                full = self.host.resolve("format", engine, name or "")
                known = self.host.capability("format", full, "version").is_there
            except (OdibiError, ValueError):
                known = False  # what is wrong is told when it is read
            self._versioned[engine, name] = known
        return known

    def table_version(self, read: Read, engine: str) -> str:
        """The version of such a table; empty if it is not there.

        Raises:
            StorageError: the storage cannot be asked.
        """
        source = self.source(read, engine)
        return source.format.version(source) or ""  # type: ignore[union-attr]

    def quarantine(self, quarantine: Quarantine, engine: str, part: str) -> Target:
        """Where a node's bad rows go."""
        write = Write(quarantine.connection, quarantine.path, format=quarantine.format, options=quarantine.options)
        return self.target(write, engine, part)

    def operation(self, engine: str, name: str, params: Mapping[str, Any]) -> Any:
        """A named transform with its parameters."""
        return self._build("transform", self.host.resolve("transform", engine, name), params)

    def function(self, function: str | Callable[..., Any]) -> Callable[..., Any]:
        """A function by its name in the project, or as ``"module:name"``; a function itself is given back.

        Raises:
            ConfigError: there is none of that name.
        """
        if not isinstance(function, str):
            return function
        found = self.project.functions.get(function)
        if found is None:
            module, colon, name = function.partition(":")
            try:
                found = getattr(import_module(module), name) if colon else None
            except (ImportError, AttributeError) as error:
                raise ConfigError([Problem(f"the function '{function}' cannot be imported: {error}.")]) from error
        if found is None:
            known = ", ".join(sorted(self.project.functions)) or "none"
            raise ConfigError([Problem(f"there is no function '{function}'; the project's functions are: {known}.")])
        return found

    def format_of(self, path: str | None, engine: str) -> str:
        """The format that the ending of ``path`` means to ``engine``.

        Raises:
            ConfigError: it means none.
        """
        found = format_of(self.host, path or "", engine)
        if found is None:
            raise ConfigError([Problem(f"the format of '{path}' does not show in its name.", None, "Give 'format'.")])
        return found

    def frame_types(self) -> Iterable[tuple[str, str]]:
        """``(engine, frame type)`` of every engine that can be had."""
        if self._types is None:
            types = []
            for name in self.host.names("engine"):
                try:
                    types.append((name, str(self.host.constant("engine", name, "frame_type", ""))))
                except OdibiError:
                    # An engine that cannot be imported has made no frame in this process.
                    continue
            self._types = types
        return self._types

    def secret(self, store: str, name: str) -> Secret:
        """The secret ``name`` of the store called ``store``.

        Raises:
            ConfigError: the project has no such store.
        """
        config = self.project.secrets.get(store)
        if config is None:
            known = ", ".join(self.project.secrets) or "none"
            raise ConfigError(
                [
                    Problem(
                        f"there is no secret store '{store}'; the project has: {known}.", None, "Add it to 'secrets'."
                    )
                ]
            )
        built = self._once("secret", store, lambda: self._plain("secret", config.type, config.options))
        secret: Secret = built.get(name)
        self.redactor.register(secret.reveal())
        return secret

    def close(self) -> None:
        """Close everything that was built, the last first; an error in one does not keep the others open."""
        with self._lock:
            built, self._built = list(self._built.values()), {}
        errors = []
        for component in reversed(built):
            try:
                close = getattr(component, "close", None)
                if close is not None:
                    close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _once(self, family: str, name: str, build: Callable[[], Any]) -> Any:
        key = (family, name)
        found = self._built.get(key)
        if found is None:
            with self._lock:
                found = self._built.get(key)
                if found is None:
                    found = self._built[key] = build()
        return found

    def _start(self, name: str) -> Any:
        """Build an engine; one that has to know beforehand is told what the project will have it read and write."""
        engine = self._build("engine", name, self.project.engines.get(name, {}))
        if self.host.capability("engine", name, "lazy").is_there:
            engine.expect(*self._used_with(name))
        return engine

    def _used_with(self, engine: str) -> tuple[list[type], list[Any]]:
        """The formats and storages of the nodes that run on an engine, as far as they can be had."""
        formats: dict[str, type] = {}
        storages: dict[str, Any] = {}
        for pipeline in self.project.pipelines:
            for node in pipeline.nodes:
                if (node.engine or pipeline.engine or self.project.engine) != engine:
                    continue
                for place in (node.read, node.write, node.validation and node.validation.quarantine):
                    if not place:
                        continue
                    # What cannot be had fails the node that needs it, and says so there.
                    with suppress(OdibiError):
                        storages[place.connection] = self.storage(place.connection)
                    with suppress(OdibiError):
                        name = place.format or self.format_of(place.path, engine)
                        full = self.host.resolve("format", engine, name)
                        formats[full] = self.host.component("format", full)
        return list(formats.values()), list(storages.values())

    def _connect(self, name: str) -> Any:
        connection = self.project.connections.get(name)
        if connection is None:
            known = ", ".join(self.project.connections) or "none"
            raise ConfigError([Problem(f"there is no connection '{name}'; the project has: {known}.")])
        return self._build("storage", connection.type, connection.options)

    def _format(self, engine: str, name: str, options: Mapping[str, Any], purpose: str) -> Any:
        return self._build("format", self.host.resolve("format", engine, name), options, purpose)

    def _build(self, family: str, name: str, options: Mapping[str, Any], purpose: str | None = None) -> Any:
        return self._plain(family, name, resolve(options, self.secret), purpose)

    def _plain(self, family: str, name: str, options: Mapping[str, Any], purpose: str | None = None) -> Any:
        if family in _CONNECTED:
            options = self._connected(family, name, options)
        return self.host.build(family, name, options, base_dir=self.project.root, purpose=purpose)  # type: ignore[arg-type]

    def _connected(self, family: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options, with the storage in place of the name of a connection where a component asks for one."""
        from odibi.structure import option_fields

        given = dict(options)
        for field in option_fields(self.host.component(family, name)):
            if field.connection and isinstance(given.get(field.key), str):
                given[field.key] = self.storage(given[field.key])
        return given
