"""From a movie to the settings of a training: what it must cover, and whether the PSF fits."""
