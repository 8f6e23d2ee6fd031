"""The energy of an occupancy: its terms, its layout for the kernels, and the state that moves change."""
