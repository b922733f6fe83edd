"""What every reader of a foreign file raises."""

from __future__ import annotations


class PSFFileError(ValueError):
    """A PSF that cannot be read; the message is one sentence."""
