"""The checks `compliance.*`: the only place here that makes findings."""
