package masking

// maxValue is how much of a match is told to who wants to hear of it, in bytes:
// longer ones are texts, not values.
const maxValue = 256

// hear tells who wants to hear of values the one that is masked, when its last
// piece is there.
func (k *masker) hear(u *use, text []byte, first, last bool) {
	if k.tally == nil || k.tally.Found == nil || u.observe {
		return
	}
	if first {
		k.value = k.value[:0]
	}
	k.value = append(k.value, text[:min(len(text), maxValue-len(k.value))]...)
	if last {
		k.tally.Found(u.entity, k.value)
		clear(k.value)
	}
}
