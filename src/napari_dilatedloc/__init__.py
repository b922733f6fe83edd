"""3-D single-molecule localization microscopy with deep learning, in napari and headless.

Importing this package loads neither torch nor napari nor Qt; import the room you need, for
example ``from napari_dilatedloc.io.movie import open_movie``.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-dilatedloc")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
