"""From localizations to the figure: filters, drift, linking, quality, clusters."""
