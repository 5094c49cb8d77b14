"""From text as people write it to token ids: documents, markup, pauses, chunks, tokenizer."""
