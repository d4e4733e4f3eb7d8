"""The checks of federated unlearning, one question a file; only here findings are made."""
