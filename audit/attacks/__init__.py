"""One file an attack: a kernel that reads what the attacker holds, and the check that plays it in three arms."""
