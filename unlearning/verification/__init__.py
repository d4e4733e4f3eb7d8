"""Did a model forget? Kernels that take scores, outputs or counts and return numbers with intervals."""
