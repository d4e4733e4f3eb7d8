"""The checks `secagg.*`, the only place of this package that makes findings."""
