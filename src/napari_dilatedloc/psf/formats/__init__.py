"""Calibration files of other programs, one file per program.

Foreign axis orders, origins and signs end here: what comes out has (z, y, x), the emitter in the
centre pixel, and z_nm that grows away from the cover slip. `read.read_foreign_psf` looks into a
file and picks the reader; each reader's docstring says which source settles the conventions of its
program.

`z_direction` is one word for all of them. "up": z as the other program counts it, which assumes
that its bead stack was taken with the objective moving towards the sample (or the stage towards the
objective), so that a bead sinks relative to the focus from slice to slice. "down": the stack was
taken the other way, and z is turned round.
"""
