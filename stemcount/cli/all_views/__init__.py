"""All views of a run: counts, placing and crystal settled together, and what stays in doubt."""
