"""Messages -> words: language models and the process that runs them."""
