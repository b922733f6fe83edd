"""Point spread functions: formulas, measured splines, and calibration from beads."""
