"""Makes the embedded default model micro-llama and the data of the benchmark micro."""
