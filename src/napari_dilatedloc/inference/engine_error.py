"""What goes wrong when an engine is asked for by name."""


class EngineError(ValueError):
    """An engine that cannot be had here; the message is one sentence."""
