package detect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// vocabulary is what lines of ordinary text are made of.
var vocabulary = strings.Fields(`the of and to a in that is was he for it with as his on be at by I this had not are but from or have an they which one you
were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time
these two may then do first any my now such like our over man me even most made after also did many before must through back years where much your way well
down should because each just those people Mr how too little state good very make world still own see men work long get here between both life being under never
day same another know while last might us great old year off come since against go came right used take three states himself few house use during without again
place American around however home small found Mrs thought went say part once general high upon school every don't does got united left number course war until
always away something fact though water less public put think almost hand enough far took head yet government system better set told nothing night end why called
didn't eyes find going look asked later knew point next program city business give group toward young days let room president side social given present several
order national possible rather second face per among form important often things looked early white case large need four within felt along children saw best church
ever least power development seemed light thing family interest want members mind area country others turned although done open God service problem certain kind
different thus began door help means sense whole matter temperature distribution gateway tensor configuration`)

// hits are lines that hold something to find.
var hits = []string{
	"Please write to %s.%s@example.com about it.",
	"Her card is 4111 1111 1111 1111, valid until 12/27 (%s %s).",
	"SSN 536-90-4399 belongs to %s %s.",
	"Call %s %s at (212) 555-0187 after five.",
	"Transfer it to DE89 3704 0044 0532 0130 00 for %s %s.",
	"The login of %s came from 203.0.113.42 (%s).",
}

// prose writes lines of ordinary text, of which so many in a thousand hold
// something to find; with numbers, dates, times and names among the words.
func prose(rng *rand.Rand, size, perThousand int) []byte {
	var b []byte
	word := func() string { return vocabulary[rng.IntN(len(vocabulary))] }
	for len(b) < size {
		if rng.IntN(1000) < perThousand {
			b = fmt.Appendf(b, hits[rng.IntN(len(hits))], word(), word())
			b = append(b, '\n')
			continue
		}
		for n, words := 0, 10+rng.IntN(8); n < words; n++ {
			switch w := word(); {
			case n == 0:
				b = append(append(b, strings.ToUpper(w[:1])...), w[1:]...)
			case rng.IntN(60) == 0:
				b = fmt.Appendf(b, "%d", rng.IntN(3000))
			case rng.IntN(200) == 0:
				b = fmt.Appendf(b, "%d:%02d", rng.IntN(24), rng.IntN(60))
			case rng.IntN(300) == 0:
				b = fmt.Appendf(b, "2024-%02d-%02d", 1+rng.IntN(12), 1+rng.IntN(28))
			default:
				b = append(b, w...)
			}
			if n == words-1 {
				b = append(b, ".\n"...)
			} else if rng.IntN(12) == 0 {
				b = append(b, ", "...)
			} else {
				b = append(b, ' ')
			}
		}
	}
	return b[:size]
}
