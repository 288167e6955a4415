package dedup

// KeyTexts are the texts that keys are tested with.
var KeyTexts = keyTexts
