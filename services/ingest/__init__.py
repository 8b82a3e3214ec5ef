"""Edge plane: turns what servers send into durable batches of `AccessLog`."""
