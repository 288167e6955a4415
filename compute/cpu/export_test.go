package cpu

// KeepLogits bounds the logits, in floats, that vocabulary operators of
// Programs compiled from now on leave to their gradients.
func (e *Engine) KeepLogits(floats int) { e.keptLogits = floats }
