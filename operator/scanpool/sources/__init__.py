"""One module per thing that is read from the world; each read says what it knows, or why not."""
