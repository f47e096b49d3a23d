package corpus

import (
	"fmt"
	"strconv"
	"strings"
)

// PublishedExamples computes check digits of numbers that are printed in the
// standards or by the authorities, beside what is printed there.
func PublishedExamples() map[string][2]string {
	nhs := (11 - weighted("943476591", 10, 9, 8, 7, 6, 5, 4, 3, 2)%11) % 11
	return map[string][2]string{
		"Luhn, ISO/IEC 7812-1":     {luhn("7992739871"), "3"},
		"IBAN, ISO 13616":          {fmt.Sprintf("%02d", 98-mod97("WEST12345698765432"+"GB00")), "82"},
		"NHS Data Dictionary":      {strconv.Itoa(nhs), "9"},
		"MOD 11,10, ISO 7064":      {mod1110("0794"), "5"},
		"AHV, Bundesamt":           {strconv.Itoa((10 - weighted("756921707698", 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3)%10) % 10), "5"},
		"Verhoeff":                 {verhoeff("236"), "3"},
		"TD3 number, ICAO 9303":    {icao("L898902C3"), "6"},
		"TD3 birth, ICAO 9303":     {icao("740812"), "2"},
		"tax id, Bundeszentralamt": {mod1110("8609574271"), "9"},
	}
}

// SharedLines are template lines of some length that both parts have.
func SharedLines() []string {
	var shared []string
	for line := range strings.Lines(devText) {
		if len(line) > 30 && strings.Contains(heldOutText, line) {
			shared = append(shared, line)
		}
	}
	return shared
}
