"""The host: finds plugins, lets them in or not, and builds their components."""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from odibi.host.host import Host, PluginInfo

__all__ = ["Host", "PluginInfo"]


def __getattr__(name: str) -> object:
    """Import the host when it is first named: wording an error needs the firewall alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from odibi.host import host

    value = getattr(host, name)
    globals()[name] = value
    return value
