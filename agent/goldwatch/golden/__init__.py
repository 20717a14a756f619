"""Golden sets: frozen, content-addressed examples with labels, reference outputs, slices and their task."""
